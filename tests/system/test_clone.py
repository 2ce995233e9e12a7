"""`clone`: what a copy has, what it costs, and when there is none. As in test_cli.py, a fake stands in
QEMU's place."""

import fcntl
import json
import os
import re
import signal
import subprocess

import pytest
from test_cli import cli  # noqa: F401
from test_disks import MIB, on_a_terminal, raw_image


def files_of(cli, name):  # noqa: F811
    return sorted(path.name for path in (cli.home / "vms" / name).iterdir())


def test_a_copy(cli):  # noqa: F811
    image = raw_image(cli.path / "image", 200 * MIB)
    cli.run("create", "one", "--from-disk", image, "--cpu", 3)
    running = cli.start("one", "--accel", "tcg")
    subnet = running.fact("subnet")
    assert running.end(signal.SIGTERM)[0] == 0
    assert cli.run("clone", "one", "two") == ("", "")
    assert files_of(cli, "two") == ["config.json", "disk.img", "nvram.bin"]
    disk = cli.home / "vms/two/disk.img"
    assert disk.read_bytes() == image.read_bytes()
    assert disk.stat().st_blocks * 512 < MIB, "holes were filled"
    source, copy = cli.config("one"), cli.config("two")
    assert source.pop("macAddress") != copy.pop("macAddress") and source == copy
    assert list((cli.home / "tmp").iterdir()) == []
    # The subnet stays where it was.
    assert json.loads(cli.run("get", "two", "-f", "json")[0])["Subnet"] is None
    both = [cli.start(name, "--accel", "tcg") for name in ("two", "one")]
    assert both[1].fact("subnet") == subnet != both[0].fact("subnet")
    for running in both:
        assert running.end(signal.SIGTERM)[0] == 0


def test_a_suspended_vm(cli):  # noqa: F811
    cli.create("one")
    (cli.home / "vms/one/suspend.state").write_bytes(b"memory")
    cli.run("clone", "one", "two")
    assert (cli.home / "vms/two/suspend.state").read_bytes() == b"memory"
    assert cli.config("one") == cli.config("two")


def test_what_is_refused(cli):  # noqa: F811
    cli.create("one")
    cli.create("two", "--cpu", 4)
    assert cli.refused("clone", "none", "three", expect=2) == 'the specified VM "none" does not exist\n'
    assert cli.refused("clone", "one", "two", expect=1) == 'VM "two" already exists: --force replaces it\n'
    assert cli.config("two")["cpuCount"] == 4
    assert "should be a local name" in cli.refused("clone", "one", "a/b")
    assert "onto itself" in cli.refused("clone", "one", "one", "--force")
    running = cli.start("one", "--accel", "tcg")
    assert cli.refused("clone", "one", "three", expect=2) == 'VM "one" is running\n'
    assert cli.refused("clone", "two", "one", "--force", expect=2) == 'VM "one" is running\n'
    assert running.end(signal.SIGTERM)[0] == 0
    cli.run("clone", "two", "one", "--force")
    assert cli.config("one")["cpuCount"] == 4
    (cli.home / "vms/two/initrd").unlink()
    assert cli.refused("clone", "two", "three", expect=1) == \
        "VM is missing files for a supported layout: initrd\n"
    assert cli.run("list", "-q")[0] == "one\ntwo\n"
    assert list((cli.home / "tmp").iterdir()) == []


def test_while_it_is_copied(cli):  # noqa: F811
    """Nobody may start, change or remove it then; further copies are fine."""
    cli.create("one")
    fd = os.open(cli.home / "vms/one", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)  # as a clone under way
    said = 'VM "one" is being copied: try again when that is done\n'
    assert cli.refused("run", "one", expect=2) == said
    assert cli.refused("delete", "one", expect=1) == said
    assert cli.refused("create", "one", "--linux", "--force", expect=2) == said
    cli.run("clone", "one", "two")
    os.close(fd)
    cli.run("delete", "one")


def test_progress_bar(cli):  # noqa: F811
    image = cli.path / "image"
    image.write_bytes((b"\1" * 510 + b"\x55\xaa") * (20 * MIB // 512))
    cli.run("create", "one", "--from-disk", image)
    said = on_a_terminal(cli, "clone", "one", "two")
    steps = [int(step) for step in re.findall(r"\rcopying the VM \[#*-*\] +(\d+) %", said)]
    assert steps == sorted(steps) and steps[-1] == 100
    assert said.endswith("\r\x1b[K")


# In a mount namespace of its own. Prints how many bytes a copy of the VM took.
ON_XFS = """
truncate -s 400M xfs.img
mkfs.xfs -q -m reflink=1 xfs.img
mount -o loop xfs.img "$TARTLET_HOME"
"$1" create one --from-disk image
sync -f "$TARTLET_HOME"
before=$(stat -f -c %f "$TARTLET_HOME")
"$1" clone one two
sync -f "$TARTLET_HOME"
after=$(stat -f -c %f "$TARTLET_HOME")
cmp image "$TARTLET_HOME/vms/two/disk.img"
echo $(((before - after) * $(stat -f -c %S "$TARTLET_HOME")))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_blocks_are_shared(cli):  # noqa: F811
    """Where the file system can: a copy of 100 MB, all of them data, takes no room."""
    image = cli.path / "image"
    image.write_bytes((b"\1" * 510 + b"\x55\xaa") * (100 * MIB // 512))
    cli.home.mkdir()
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", ON_XFS, "sh", cli.program], cwd=cli.path,
                          env=cli.environment, capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) < 2 * MIB


# A home of 30 MB, and a VM of 20.
SMALL_HOME = """
mount -t tmpfs -o size=30M tmpfs "$TARTLET_HOME"
"$1" create one --from-disk image
"$1" clone one two && exit 3
find "$TARTLET_HOME/vms" "$TARTLET_HOME/tmp" -mindepth 1 -maxdepth 1
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_copy_that_does_not_fit(cli):  # noqa: F811
    image = cli.path / "image"
    image.write_bytes((b"\1" * 510 + b"\x55\xaa") * (20 * MIB // 512))
    cli.home.mkdir()
    done = subprocess.run(["unshare", "--mount", "sh", "-c", SMALL_HOME, "sh", cli.program], cwd=cli.path,
                          env=cli.environment, capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stdout) == (0, f"{cli.home}/vms/one\n")
    assert re.fullmatch(r'cannot copy disk.img of VM "one": it does not fit into the \d+ bytes that are free in '
                        r"the home directory\n", done.stderr)
