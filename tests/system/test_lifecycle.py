"""How a run ends, and what the host shows of it."""

import os
import pathlib
import signal

import pytest
from lab.tartlet import qemu_pids, wait_gone


@pytest.fixture
def lark(tartlet, guest):
    """A VM that the test ends in its own way."""
    tartlet.create("lark", guest)
    running = tartlet.run("lark", expose=["0:2"])
    yield running
    running.end()
    tartlet.command("delete", "lark")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_vm(lark, number):
    pids = lark.pids()
    lark.process.send_signal(number)
    assert lark.wait() == 0
    wait_gone(pids)


def test_stop(tartlet, lark):
    pids = lark.pids()
    tartlet.command("stop", "lark")
    assert lark.wait() == 0
    wait_gone(pids)
    assert "not running" in tartlet.command("stop", "lark", expect=2).stderr


def test_poweroff_in_the_guest(lark):
    lark.up().tell("poweroff")
    assert lark.wait(40) == 0


def test_qemu_dies(tartlet, lark):
    [qemu] = qemu_pids(lark.pids())
    os.kill(qemu, signal.SIGSEGV)
    assert lark.wait() == 1
    assert "QEMU" in lark.output


def test_label_is_shown(vm):
    [qemu] = qemu_pids(vm.pids())
    arguments = pathlib.Path(f"/proc/{qemu}/cmdline").read_bytes().split(b"\0")
    name = arguments[arguments.index(b"-name") + 1].decode()
    assert "guest=shared" in name and "process=" in name
    assert "shared" in pathlib.Path(f"/proc/{qemu}/comm").read_text()
    threads = [(task / "comm").read_text() for task in
               pathlib.Path(f"/proc/{vm.process.pid}/task").iterdir()]
    assert any("shared" in thread for thread in threads)


def test_qemu_is_sandboxed(vm):
    [qemu] = qemu_pids(vm.pids())
    status = pathlib.Path(f"/proc/{qemu}/status").read_text()
    assert "Seccomp:\t2" in status


def test_open_to_the_network_is_said(vm):
    assert "reachable" in vm.output
