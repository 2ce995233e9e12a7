"""What people meet of the program beside its work. No guest is booted.

    /usr/bin/python3 -m pytest tests/people --program build/gcc/src/cli/tartlet
"""

import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def pytest_addoption(parser):
    parser.addoption("--program", required=True, help="the program tartlet")


class Program:
    """The program, as `tartlet` in PATH, with a home of its own."""

    def __init__(self, program, path):
        self.path = path
        self.home = path / "home"
        self.held = []
        self.running = []
        (path / "bin").mkdir()
        (path / "work").mkdir()
        (path / "runtime").mkdir(mode=0o700)
        (path / "bin/tartlet").symlink_to(program)
        self.work = path / "work"
        self.environment = {
            "PATH": f"{path}/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(path), "LC_ALL": "C.UTF-8",
            "TARTLET_HOME": str(self.home), "XDG_RUNTIME_DIR": str(path / "runtime"), "TERM": "dumb",
        } | {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}

    def run(self, *argv, **options):
        return subprocess.run(["tartlet", *map(str, argv)], env=self.environment, cwd=self.work,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150,
                              check=False, **options)

    def output(self, *argv):
        """What it prints, where it succeeds."""
        done = self.run(*argv)
        assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *argv):
        return json.loads(self.output(*argv))

    def commands(self):
        return re.findall(r"^  ([a-z]+) ", self.output("--help").partition("Commands:")[2], re.MULTILINE)

    def create(self, name):
        for part in ("kernel", "initrd"):
            (self.path / part).write_bytes(part.encode() * 100)
        self.output("create", name, "--kernel", self.path / "kernel", "--initrd", self.path / "initrd")

    def stand_in_for_qemu(self):
        shutil.copyfile(ROOT / "tests/system/lab/fake_qemu.py", self.path / "bin/qemu-system-x86_64")
        (self.path / "bin/qemu-system-x86_64").chmod(0o755)

    def start(self, name, *options):
        """Runs it, with a stand-in for QEMU, until the tests end."""
        self.stand_in_for_qemu()
        self.running.append(subprocess.Popen(
            ["tartlet", "run", name, *options], env=self.environment, cwd=self.work, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        for line in self.running[-1].stdout:
            if line.startswith("address: "):
                return
        raise AssertionError(f"{name} does not run: {self.running[-1].communicate()[1]}")

    def hold(self, name):
        """As if it ran: what says so is the lock of its configuration."""
        self.held.append(open(self.home / "vms" / name / "config.json", "r+b"))
        fcntl.lockf(self.held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.fixture(scope="module")
def program(request, tmp_path_factory):
    made = Program(pathlib.Path(request.config.getoption("--program")).resolve(), tmp_path_factory.mktemp("p"))
    yield made
    for file in made.held:
        file.close()
    for process in made.running:
        process.terminate()
        process.communicate(timeout=150)
