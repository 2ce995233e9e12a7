"""`rename`. As in test_cli.py, a fake stands in QEMU's place."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess

import pytest
from test_cli import cli  # noqa: F401


def keys(cli):  # noqa: F811
    """Who has an assignment."""
    with contextlib.closing(sqlite3.connect(cli.home / "networks/assignments.db")) as database:
        return sorted(row[0] for row in database.execute("SELECT key FROM assignment"))


def test_a_vm_that_never_ran(cli):  # noqa: F811
    cli.create("one", "--cpu", 3)
    assert cli.run("rename", "one", "two") == ("", "")
    assert cli.run("list", "-q")[0] == "two\n"
    assert cli.config("two")["cpuCount"] == 3
    assert list((cli.home / "tmp").iterdir()) == []


def test_while_it_runs(cli):  # noqa: F811
    cli.create("one")
    running = cli.start("one", "--accel", "tcg", "--net-vmnet-expose", "127.0.0.1:0:22")
    cli.run("rename", "one", "a new name")
    assert keys(cli) == ["a new name"]
    found = json.loads(cli.run("get", "a new name", "-f", "json")[0])
    assert found["State"] == "running" and f'{found["Subnet"]}' == running.fact("subnet")
    cli.run("forward", "add", "a new name", "127.0.0.1:0:80")
    assert len(json.loads(cli.run("forward", "list", "a new name", "-f", "json")[0])) == 2
    assert cli.refused("run", "a new name", expect=2) == 'VM "a new name" is already running!\n'
    cli.run("stop", "a new name")
    assert running.end()[0] == 0
    # It is as it was, under the new name; the old one is free.
    again = cli.start("a new name", "--accel", "tcg")
    assert again.fact("subnet") == running.fact("subnet")
    cli.create("one")
    other = cli.start("one", "--accel", "tcg")
    assert other.fact("subnet") != again.fact("subnet")
    assert keys(cli) == ["a new name", "one"]
    for each in (again, other):
        assert each.end(signal.SIGTERM)[0] == 0


def test_what_is_refused(cli):  # noqa: F811
    cli.create("one")
    cli.create("two", "--cpu", 4)
    assert cli.refused("rename", "none", "three") == 'the specified VM "none" does not exist\n'
    assert cli.refused("rename", "one", "two") == 'VM "two" already exists: choose another name, or delete it\n'
    assert cli.refused("rename", "one", "one") == 'VM "one" already exists: choose another name, or delete it\n'
    assert "should be a local name" in cli.refused("rename", "one", "a/b")
    assert cli.run("list", "-q")[0] == "one\ntwo\n"
    assert cli.config("two")["cpuCount"] == 4
    # A run that has no network yet.
    (cli.home / "vms/one/run.json").unlink(missing_ok=True)
    script = "import fcntl, sys\nf = open(sys.argv[1], 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX)\n" \
             "print(flush=True)\nsys.stdin.read()"
    with subprocess.Popen(["/usr/bin/python3", "-c", script, cli.home / "vms/one/config.json"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        assert cli.refused("rename", "one", "three", expect=2) == \
            'VM "one" is just being started or stopped: try again\n'
        holder.stdin.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_on_a_read_only_file_system(cli):  # noqa: F811
    cli.create("one")
    script = 'mount --bind "$TARTLET_HOME" "$TARTLET_HOME"; mount -o remount,bind,ro "$TARTLET_HOME"; exec "$@"'
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", script, "sh", cli.program, "rename", "one", "two"],
                          env=cli.environment, capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"home directory {cli.home} is not writable: cannot write {cli.home}/tmp/journal: " \
                          "Read-only file system\n"
