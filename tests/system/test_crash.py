"""kill -9 at each system call that changes the disk: a VM is then as it was before the command, or as it
is after it, and the next command leaves nothing behind. And many commands at once on one home.

It is tartlet that is killed, at each of its system calls that change the disk, and
qemu-img with it, which it asked the kernel for. As in test_cli.py, a fake stands in
QEMU's place.
"""

import contextlib
import dataclasses
import hashlib
import json
import re
import shutil
import signal
import sqlite3
import subprocess

import pytest
from test_cli import Cli
from test_disks import MIB, qcow2_image, raw_image

# All that changes what a later process sees of the disk. Not openat: a file that was made is seen, empty,
# at the next call.
CHANGES = ("mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "link", "linkat",
           "symlink", "symlinkat", "truncate", "ftruncate", "fallocate", "write", "pwrite64", "writev",
           "copy_file_range", "fsync", "fdatasync", "chmod", "fchmod", "fchmodat")
MAC = "02:00:00:00:00:00"


@dataclasses.dataclass(frozen=True)
class Operation:
    """A command of which either all is seen or nothing. Words are relative to the folder that `template` made; `new`
    names VMs whose MAC is made by chance; `present` is written there before. With `stroke_is_last` nothing follows the
    call that makes the change."""

    name: str
    argv: tuple
    new: tuple = ()
    stroke_is_last: bool = False
    present: tuple = ()
    sweep: tuple = ("list", "-q")  # any command, but for what is left in the VM's own folder


CREATE = ("--kernel", "kernel", "--initrd", "initrd")
# A new command that changes VMs is added here.
OPERATIONS = [
    Operation("create", ("create", "three", *CREATE, "--disk", "image", "--cpu", "4"), ("three",)),
    Operation("create by force", ("create", "one", *CREATE, "--force"), ("one",)),
    Operation("create an empty disk", ("create", "three", "--linux", "--disk-size", "1"), ("three",)),
    Operation("clone", ("clone", "one", "three"), ("three",)),
    Operation("clone by force", ("clone", "one", "two", "--force"), ("two",)),
    Operation("set", ("set", "one", "--cpu", "5", "--memory", "64", "--disk-size", "1")),
    Operation("set a qcow2 disk", ("set", "two", "--cpu", "5", "--disk-size", "1")),
    Operation("set another disk", ("set", "one", "--cpu", "5", "--disk", "image.qcow2")),
    Operation("import", ("import", "one.tvm", "three"), ("three",)),
    Operation("import by force", ("import", "one.tvm", "two", "--force"), ("two",)),
    Operation("set for cloud-init", ("set", "one", "--ssh-key", "key.pub", "--hostname", "first"),
              sweep=("prune", "--gc")),
    Operation("stop a suspended one", ("stop", "two"), present=(("home/vms/two/suspend.state", "memory"),),
              stroke_is_last=True),
    Operation("delete", ("delete", "one")),
    Operation("rename", ("rename", "one", "three")),
]


def assignments(home):
    with contextlib.closing(sqlite3.connect(home / "networks/assignments.db")) as database:
        return dict(database.execute("SELECT key, first FROM assignment"))


def assign(home, names):
    """As if these had run."""
    with contextlib.closing(sqlite3.connect(home / "networks/assignments.db")) as database:
        for number, name in enumerate(names):
            first = (10 << 24) + (99 << 16) + 4 * number
            database.execute("INSERT INTO assignment VALUES(?, ?, 30, ?)", (name, first, first + 2))
        database.commit()


@pytest.fixture(scope="module")
def template(program, tmp_path_factory):
    """A folder with a home of two VMs; `one` has run."""
    path = tmp_path_factory.mktemp("crash")
    cli = Cli(program, path)
    image = raw_image(path / "image", MIB)
    qcow2_image(path / "image.qcow2", MIB)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path / "key"], check=True)
    cli.create("one", "--disk", image)
    cli.create("two", "--disk", path / "image.qcow2")
    cli.start("one", "--accel", "tcg").end(signal.SIGTERM)
    cli.run("export", "one", path / "one.tvm")
    return cli


class Copy:
    """The template, copied for one command."""

    def __init__(self, template, path, operation):  # noqa: F811
        self.cli = template
        self.path = path
        subprocess.run(["cp", "-a", "--sparse=always", template.path, path], check=True)
        self.home = path / "home"
        self.environment = template.environment | {"TARTLET_HOME": str(self.home)}
        for name, text in operation.present:
            (path / name).write_text(text)

    def run(self, *argv, wrapper=()):
        return subprocess.run([*wrapper, self.cli.program, *argv], cwd=self.path, env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False)

    def state(self, new):
        """All that a later command would see, but for what is made by chance."""
        vms = {}
        for file in (file for vm in (self.home / "vms").iterdir() for file in vm.iterdir()):
            with file.open("rb") as stream:
                data = stream.read(2 * MIB)  # what follows is a hole
            if file.name == "config.json" and file.parent.name in new:
                data = re.sub(rb"..:..:..:..:..:..", MAC.encode(), data)
            if file.name == "seed.json":
                data = re.sub(rb"iid-[0-9a-f]{32}", b"iid-", data)
            vms[f"{file.parent.name}/{file.name}"] = file.stat().st_size, hashlib.sha256(data).hexdigest()
        return vms, assignments(self.home)

    def remove(self):
        shutil.rmtree(self.path)


def inject_at(calls, number):
    """strace counts each system call for itself. It kills before the call does anything."""
    name = calls[number - 1].partition("(")[0]
    same = sum(call.startswith(f"{name}(") for call in calls[:number])
    return f"inject={name}:signal=KILL:when={same}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_killed(template, tmp_path, operation):
    trace = ["strace", "-qq", "-o", tmp_path / "trace", "-e", f"trace={','.join(CHANGES)}"]
    whole = Copy(template, tmp_path / "whole", operation)
    before = whole.state(operation.new)
    done = whole.run(*operation.argv, wrapper=trace)
    assert done.returncode == 0, done
    after = whole.state(operation.new)
    assert before != after
    calls = [line for line in (tmp_path / "trace").read_text().splitlines() if re.match(r"\w+\(", line)]
    seen = {"before": 0, "after": 0}
    for number in range(1, len(calls) + 1):
        copy = Copy(template, tmp_path / str(number), operation)
        inject = inject_at(calls, number)
        killed = copy.run(*operation.argv, wrapper=[*trace, "-e", inject])
        assert killed.returncode == -signal.SIGKILL, f"{inject}: {killed}"
        where = f"killed at {number} of {len(calls)}: {calls[number - 1]}"
        next_one = copy.run(*operation.sweep)
        assert (next_one.returncode, next_one.stderr) == (0, ""), where
        assert list((copy.home / "tmp").iterdir()) == [], where
        state = copy.state(operation.new)
        assert state in (before, after), where
        seen["before" if state == before else "after"] += 1
        copy.remove()
    assert seen["before"] > 0 and (seen["after"] > 0) != operation.stroke_is_last, "one of both never came"


def test_many_at_once(program, tmp_path):
    """200 commands: each ends as it should, and the home is whole."""
    cli = Cli(program, tmp_path)
    cli.create("base")
    shutil.copytree(cli.home / "vms/base", cli.path / "base")
    cli.start("base", "--accel", "tcg").end(signal.SIGTERM)
    ready = [f"{letter}{number}" for letter in "rdt" for number in range(30)]
    for name in ready:
        shutil.copytree(cli.path / "base", cli.home / "vms" / name, ignore=shutil.ignore_patterns("*.sock"))
    assign(cli.home, ready)
    create = ["--kernel", cli.path / "kernel", "--initrd", cli.path / "initrd"]
    commands = [["create", f"n{number}", *create] for number in range(40)]
    commands += [["clone", "base", f"c{number}"] for number in range(30)]
    commands += [["rename", f"r{number}", f"s{number}"] for number in range(30)]
    commands += [["delete", f"d{number}"] for number in range(30)]
    commands += [["set", f"t{number}", "--cpu", "7"] for number in range(30)]
    commands += [["create", "same", *create]] * 10
    commands += [["create", "forced", *create, "--force"]] * 10
    commands += [["list", "-q"]] * 20
    assert len(commands) == 200
    # All kinds mixed.
    order = sorted(range(200), key=lambda number: hashlib.sha256(bytes([number])).digest())
    started = []
    for command in (commands[number] for number in order):
        process = subprocess.Popen([cli.program, *map(str, command)], env=cli.environment, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append((command, process))
    failed = []
    for command, process in started:
        said = process.communicate(timeout=300)[1]
        if process.returncode != 0:
            failed.append((command[:2], process.returncode, said))
    exists = 'VM "same" already exists: --force replaces it\n'
    assert failed == [(["create", "same"], 1, exists)] * 9
    expected = ["base", "forced", "same"] + [f"n{number}" for number in range(40)] + \
        [f"{letter}{number}" for letter in "cst" for number in range(30)]
    assert cli.run("list", "-q")[0].split() == sorted(expected)
    assert list((cli.home / "tmp").iterdir()) == []
    assert sorted(assignments(cli.home)) == \
        sorted(["base"] + [f"{letter}{number}" for letter in "st" for number in range(30)])
    configs = {name: json.loads((cli.home / "vms" / name / "config.json").read_text()) for name in expected}
    assert all(configs[f"t{number}"]["cpuCount"] == 7 for number in range(30))
    macs = [configs[name]["macAddress"] for name in expected if name[0] in "nc"]
    assert len(set(macs)) == len(macs) == 70
    assert [path for path in (cli.home / "vms").glob("*/.*")] == []
