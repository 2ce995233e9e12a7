"""What a guest can take of the ports that all programs of the host draw from."""

import contextlib
import socket
import struct

import pytest
from lab import servers, topology
from scapy.all import UDP, Raw

RANGE = "net.ipv4.ip_local_port_range"
FIRST, LAST = 50000, 50999
SHARE = (LAST - FIRST + 1) // 4
SOURCE_PORT = 14 + 20  # where it stands in a frame
CHECKSUM = SOURCE_PORT + 6


@pytest.fixture
def short_range(lab):
    """The host has a thousand ports."""
    before = lab.host.run("sysctl", "-n", RANGE).stdout.strip()
    lab.host.sysctl(RANGE, f"{FIRST} {LAST}")
    yield
    lab.host.sysctl(RANGE, before)


def is_answered(vm, source, port):
    """Whether the server hears a datagram from that source port."""
    vm.send(vm.ip(topology.SERVER) / UDP(sport=source, dport=port) / Raw(b"hello"))
    return any(UDP in frame and frame[UDP].dport == source for frame in vm.settle()) or \
        vm.receive(lambda frame: UDP in frame and frame[UDP].dport == source, timeout=5) is not None


def spray(vm, count, talking, port):
    """A datagram from each of so many source ports, to nobody, while one of them talks on."""
    frame = bytearray(bytes(vm.ip(topology.SERVER) / UDP(sport=1, dport=9, chksum=0) / Raw(b"x")))
    for source in range(1024, 1024 + count):
        struct.pack_into(">H", frame, SOURCE_PORT, source)
        struct.pack_into(">H", frame, CHECKSUM, 0)
        vm.send(bytes(frame))
        if source % 200 == 0:
            assert is_answered(vm, talking, port)
    vm.settle()


def ports_taken(lab):
    lines = lab.host.run("ss", "-Huan").stdout.splitlines()
    ports = [int(line.split()[3].rpartition(":")[2]) for line in lines]
    return sum(FIRST <= port <= LAST for port in ports)


def test_spray(softnet, lab, short_range):
    """A guest that sends from every port it has leaves three quarters of the host's to everybody else."""
    vm = softnet("--allow", f"{topology.SERVER}/32")
    vm.lease()
    before = ports_taken(lab)
    with servers.UdpEcho(lab.server, topology.SERVER) as echo, contextlib.ExitStack() as others:
        assert is_answered(vm, 1000, echo.port)
        spray(vm, 3 * (LAST - FIRST + 1), 1000, echo.port)
        assert ports_taken(lab) - before == SHARE
        for _ in range(LAST - FIRST + 1 - SHARE - before):
            other = others.enter_context(lab.host.socket(socket.AF_INET, socket.SOCK_DGRAM))
            other.bind(("0.0.0.0", 0))
        assert ports_taken(lab) == LAST - FIRST + 1  # now the host has none at all
        assert is_answered(vm, 1000, echo.port)
    assert vm.end() == (0, "")
