"""The devices that every guest has, as the guest sees them."""

import contextlib
import os
import socket
import stat

AGENT_PORT = "org.qemu.guest_agent.0"


def agent_socket(tartlet, name):
    return tartlet.home / "vms" / name / "agent.sock"


@contextlib.contextmanager
def connected(path):
    """By the directory's descriptor, as our own programs do it: no limit on the home's depth."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(120)
            client.connect(f"/proc/self/fd/{directory}/{path.name}")
            yield client
    finally:
        os.close(directory)


def test_agent_channel(tartlet, vm, agent):
    """The name is the one that qemu-ga looks for. What passes through it: test_exec.py."""
    path = agent_socket(tartlet, vm.name)
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    agent.run(f"grep -lx {AGENT_PORT} /sys/class/virtio-ports/*/name")


def test_agent_channel_goes_with_the_run(tartlet, guest):
    """Also when QEMU is killed, which leaves its socket behind, and the next run gets a new one."""
    tartlet.create("channel", guest)
    path = agent_socket(tartlet, "channel")
    for end in ("stop", "kill"):
        running = tartlet.run("channel", expose=[])
        assert path.exists()
        if end == "stop":
            running.end()
            assert not path.exists()
        else:
            running.kill()
    running = tartlet.run("channel", expose=[])
    with connected(path):
        pass
    running.end()
    assert not path.exists()
    tartlet.command("delete", "channel")


def test_random_numbers_and_balloon(agent):
    """virtio ids: 4 is the source of entropy, 5 the balloon (virtio 1.2, section 5)."""
    devices = agent.run("cat /sys/bus/virtio/devices/*/device").split()
    assert "0x0004" in devices and "0x0005" in devices
    assert agent.run("head -c 16 /dev/hwrng | wc -c") == "16"
