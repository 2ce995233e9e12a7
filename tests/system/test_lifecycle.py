"""How a run ends, and what the host shows of it."""

import os
import pathlib
import signal

import pytest
from lab import servers, topology
from lab.guest import GuestAgent
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
    assert lark.wait() == 0


def test_qemu_dies(tartlet, lark):
    [qemu] = qemu_pids(lark.pids())
    os.kill(qemu, signal.SIGSEGV)
    assert lark.wait() == 1
    assert "QEMU" in lark.output


def test_without_any_network_option(lab, tartlet, guest):
    """The same shared NAT, without forwards; here with the console on the terminal."""
    tartlet.create("plain", guest)
    running = tartlet.run("plain", "--serial", expose=[])
    try:
        told = f"guest: plain has {running.address}/30"
        # the shell's prompt may stand before it
        running.wait_for(lambda: any(line.endswith(told) for line in running.lines), 180,
                         f"line on the console: {told}")
        assert tartlet.json("get", "plain")["Forwards"] == []
        assert "reachable" not in running.output
        tartlet.command("forward", "add", "plain", "127.0.0.1:0:2")
        [control] = tartlet.json("forward", "list", "plain")
        agent = GuestAgent(lab.host, "127.0.0.1", control["externalPort"]).wait()
        with servers.Greeter(lab.server) as greeter:
            assert agent.run(f"tcp-ask {topology.SERVER} {greeter.port} 60 </dev/null") == topology.HOST
    finally:
        running.end()
    assert running.wait() == 0
    tartlet.command("delete", "plain")


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


def unix_sockets(pid):
    """Names of the Unix sockets that a process has open; "" where one has none."""
    names = {}
    for line in pathlib.Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        words = line.split(maxsplit=7)
        names[words[6]] = words[7] if len(words) > 7 else ""
    found = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            kind, _, inode = os.readlink(fd).partition(":")
        except FileNotFoundError:
            continue  # closed since
        if kind == "socket" and inode.strip("[]") in names:
            found.append(names[inode.strip("[]")])
    return found


def test_no_abstract_unix_socket(vm):
    """Those have no permissions: whoever shares the network namespace could connect."""
    found = [name for pid in vm.pids() for name in unix_sockets(pid)]
    assert any(name.endswith("control.sock") for name in found), found
    assert [name for name in found if name.startswith("@")] == []


def test_open_to_the_network_is_said(vm):
    assert "reachable" in vm.output
