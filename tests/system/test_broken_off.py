"""Ctrl-C while a disk is copied, or made larger: nothing is left in the home, and who waits sees the signal. A fake
stands in QEMU's place, as in test_cli.py; export and import are in test_archive.py."""

import random
import signal
import subprocess

import pytest
from test_archive import broken_off, files, names, nothing_in_between
from test_cli import cli  # noqa: F401
from test_disks import MIB, qcow2_image

DISK = 8 * MIB
BOOT = ("--kernel", "kernel", "--initrd", "initrd")
COMMANDS = [
    ("create", "two", "--kernel", "{0}/kernel", "--initrd", "{0}/initrd", "--disk", "{0}/image"),
    ("create", "one", "--kernel", "{0}/image", "--initrd", "{0}/initrd", "--force"),
    ("clone", "one", "two"),
    ("set", "one", "--disk", "{0}/image"),
]


@pytest.fixture
def home(cli):  # noqa: F811
    (cli.path / "image").write_bytes(random.Random(1).randbytes(DISK))
    cli.create("one", "--disk", cli.path / "image")
    return cli


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: f"{words[0]} {words[1]}")
@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_copy(home, name, words):
    """On a file system that shares no blocks: where it does there is no copying to break off."""
    before = files(home.home / "vms/one")
    number = -signal.Signals[f"SIG{name}"]
    argv = [word.format(home.path) for word in words]
    assert broken_off(home, "copy_file_range", 3, name, *argv) in (number, 128 - number)
    assert nothing_in_between(home)
    assert names(home) == ["one"] and files(home.home / "vms/one") == before


@pytest.mark.parametrize("words", [("create", "two", "--from-disk"), ("set", "one", "--disk")],
                         ids=lambda words: words[0])
def test_qemu_img(home, words):
    before = files(home.home / "vms/one")
    qcow2_image(home.path / "image.qcow2", MIB)
    fake = home.path / "bin/qemu-img"
    fake.write_text('#!/bin/sh\nkill -INT "$PPID"\nexec tail -f /dev/null\n')
    fake.chmod(0o755)
    more = BOOT if words[0] == "create" else ()
    done = subprocess.run([home.program, *words, home.path / "image.qcow2", "--disk-size", "1", *more], cwd=home.path,
                          env=home.environment, timeout=150, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
    assert nothing_in_between(home)
    assert names(home) == ["one"] and files(home.home / "vms/one") == before
