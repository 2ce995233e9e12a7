"""prune: what it removes, what stays, and what it says. A fake stands in QEMU's place, as in test_cli.py."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from test_cli import cli  # noqa: F401

DAY = 86400


@pytest.fixture
def shelf(cli):  # noqa: F811
    """VMs that were used so many days ago: new (0), week (8) and month (31)."""
    for name, days in (("month", 31), ("new", 0), ("week", 8)):
        directory = cli.create(name)
        used = time.time() - days * DAY - 60
        # changed later than used: then a file system with relatime marks whoever reads it
        os.utime(directory, (used, time.time()))
    return cli


def names(cli):  # noqa: F811
    return cli.run("list", "--quiet")[0].split()


def prune(cli, *options, expect=0):  # noqa: F811
    output, errors = cli.run("prune", *options, expect=expect)
    return output.splitlines(), errors


@pytest.mark.parametrize("options", [
    [], ["--entries", "vms"], ["--dry-run"], ["--entries", "oci", "--gc"], ["--older-than"],
    ["--older-than", "-1"], ["--older-than", "1d"], ["--older-than", "100001"], ["--space-budget", "1.5"],
    ["--space-budget", "99999999999"], ["--gc", "one"],
])
def test_usage(cli, options):  # noqa: F811
    assert cli.refused("prune", *options).startswith("tartlet prune: ")
    assert not cli.home.exists()


def test_by_age(shelf):
    for _ in range(2):  # looking at them is not using them
        lines, _ = prune(shelf, "--entries", "vms", "--older-than", 7, "--dry-run")
        assert [line.split(" (")[0] for line in lines] == ["would remove week", "would remove month"]
        assert all(line.endswith(f"used {days} days ago)") for line, days in zip(lines, (8, 31)))
        assert "8 days ago" in shelf.run("list")[0]
    assert names(shelf) == ["month", "new", "week"]
    lines, errors = prune(shelf, "--entries", "vms", "--older-than", 30)
    assert [line.split(" (")[0] for line in lines] == ["removed month"] and errors == ""
    assert names(shelf) == ["new", "week"]
    assert list((shelf.home / "tmp").iterdir()) == []
    assert prune(shelf, "--entries", "vms", "--older-than", 30) == ([], "")


def test_by_room(shelf):
    assert prune(shelf, "--entries", "vms", "--space-budget", 1000) == ([], "")
    assert names(shelf) == ["month", "new", "week"]
    lines, _ = prune(shelf, "--entries", "vms", "--space-budget", 0)
    assert [line.split()[1] for line in lines] == ["new", "week", "month"]
    assert names(shelf) == []


def test_caches(shelf):
    """The default, as in Tart; a script must not lose VMs by it."""
    for options in ([], ["--entries", "caches"]):
        lines, errors = prune(shelf, "--older-than", 0, "--space-budget", 0, *options)
        assert len(lines) == 1 and "no caches" in lines[0] and errors == ""
    assert names(shelf) == ["month", "new", "week"]


def test_running_stays(shelf):
    running = shelf.start("month", "--accel", "tcg")
    os.utime(shelf.home / "vms/month", (0, 0))
    assert prune(shelf, "--entries", "vms", "--older-than", 30) == ([], "")
    assert len(prune(shelf, "--entries", "vms", "--space-budget", 0)[0]) == 2
    assert names(shelf) == ["month"]
    assert running.end(signal.SIGTERM)[0] == 0


def test_gone_with_its_address(shelf):
    """As delete does it."""
    shelf.start("month", "--accel", "tcg").end(signal.SIGTERM)
    address = shelf.run("ip", "month")[0]
    os.utime(shelf.home / "vms/month", (0, 0))
    prune(shelf, "--entries", "vms", "--older-than", 30)
    shelf.create("month")
    assert shelf.run("ip", "month", expect=1)[0] == "", address


def test_foreign_folders_stay(shelf):
    """With a config.json of another program, and a broken one, of which nobody knows whose it is."""
    other = shelf.home / "vms/other"
    other.mkdir()
    (other / "config.json").write_text('{"editor": "vi"}')
    (other / "thesis").touch()
    lines, errors = prune(shelf, "--entries", "vms", "--space-budget", 0)
    assert [line.split(" (")[0] for line in lines] == ["removed new", "removed week", "removed month"]
    assert errors.startswith('VM "other" is left as it is: config.json: ')
    assert (other / "thesis").exists()


def test_one_that_cannot_be_removed(shelf):
    """The others are tried, and the exit code tells; but one that is in use is no failure."""
    config = shelf.home / "vms/month/config.json"
    holder = "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_RDWR); fcntl.lockf(fd, fcntl.LOCK_EX); " \
             "print('locked', flush=True); sys.stdin.read()"
    with subprocess.Popen(["/usr/bin/python3", "-c", holder, str(config)], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "locked\n"
        assert len(prune(shelf, "--entries", "vms", "--older-than", 7)[0]) == 1
        process.stdin.close()
    assert names(shelf) == ["month", "new"]
    # No assignment can be removed where their place is a file.
    networks = shelf.home / "networks"
    shutil.rmtree(networks)
    networks.write_text("")
    lines, errors = prune(shelf, "--entries", "vms", "--space-budget", 0, expect=1)
    assert lines == [] and len(errors.splitlines()) == 2
    assert names(shelf) == ["month", "new"]


def test_gc(cli):  # noqa: F811
    left = cli.home / "tmp/tartlet-0123456789abcdef.draft"
    cli.create("one")
    left.mkdir()
    (left / "disk.img").write_text("x")
    assert prune(cli, "--gc") == ([], "")
    assert not left.exists() and names(cli) == ["one"]


def test_gc_in_the_vms(cli):  # noqa: F811
    """Not of one that runs, and it is no use of those that do not."""
    left = {"suspend.state.new", "suspend.state.used", ".config.json.77.new", ".run.json.77.new"}
    kept = {"suspend.state", ".run.json.my.new"}
    for name in ("one", "two"):
        directory = cli.create(name)
        for file in left | kept if name == "one" else left:
            (directory / file).write_text("x")
    before = set(os.listdir(cli.home / "vms/one"))
    os.utime(cli.home / "vms/one", (time.time() - 9 * DAY, time.time()))
    running = cli.start("two", "--accel", "tcg")
    (cli.home / "vms/two/suspend.state.new").write_text("its own")
    assert prune(cli, "--gc", "--dry-run") == ([], "")
    assert (cli.home / "vms/one/suspend.state.new").exists()
    assert prune(cli, "--gc") == ([], "")
    assert "9 days ago" in cli.run("list")[0]
    assert set(os.listdir(cli.home / "vms/one")) == before - left
    assert (cli.home / "vms/two/suspend.state.new").read_text() == "its own"
    # A run that is killed leaves it.
    running.process.kill()
    assert running.end()[0] == -signal.SIGKILL
    assert prune(cli, "--gc") == ([], "")
    assert not left & set(os.listdir(cli.home / "vms/two"))
