"""Whatever a VM claims to be, and whatever is broken in its frames: nothing of it leaves the host, nor reaches another VM.

lab/lies.py has the frames. After each kind, the host's wires (every interface, by a packet socket) have carried nothing
but the host's own neighbour discovery, and the VM of another softnet beside it has heard nothing. Then the truth passes.
"""

import pytest
from lab import topology
from lab.lies import MARK, Guest, cut, lies, oversized
from lab.softnet import MAC
from lab.wire import Wire
from scapy.all import ARP, ICMP, IP, TCP, UDP, Ether, Raw

PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
# As open as can be, so that it is not the rules that keep a lie back.
OPEN = ["0.0.0.0/1", "128.0.0.0/1", "::/0", "224.0.0.0/4", f"{topology.SERVER}/32"]
PORT = 7007


@pytest.fixture(scope="module")
def pair(softnet_kept):
    """A VM that lies, and one beside it."""
    made = [softnet_kept("--allow", ",".join(OPEN), "--label", name) for name in ("liar", "bystander")]
    for vm in made:
        vm.lease()
    yield made
    for vm in made:
        assert vm.end() == (0, "")


@pytest.fixture(scope="module")
def wire(lab, pair):
    with Wire(lab.host) as made:
        yield made


def is_neighbour_discovery(data):
    """What a kernel says on its own."""
    return data[12:14] == b"\x08\x06" or (data[12:14] == b"\x86\xdd" and data[20] in (0, 58))


def leaked(vm, wire, bystander, frames):
    """What of these frames arrives anywhere."""
    wire.take()
    for frame in frames:
        vm.send_any(frame)
    vm.settle()
    seen = [data for data in wire.take() if MARK in data or not is_neighbour_discovery(data)]
    return seen + [bytes(frame) for frame in bystander.settle()]


def guest_of(vm):
    return Guest(MAC, vm.address, vm.gateway, vm.gateway_mac, topology.SERVER, PORT)


@pytest.mark.parametrize("kinds", [lies, cut, oversized])
def test_nothing_arrives(pair, wire, kinds):
    vm, bystander = pair
    assert kinds is oversized or all(len(frame) <= 1514 for _, frames in kinds(guest_of(vm)) for frame in frames)
    arrived = {name: len(seen) for name, frames in kinds(guest_of(vm))
               if (seen := leaked(vm, wire, bystander, frames))}
    assert arrived == {}
    # And it is not that nothing passes at all.
    guest = guest_of(vm)
    seen = leaked(vm, wire, bystander, [guest.way() / guest.ip() / guest.datagram()])
    assert seen and Ether(seen[0])[IP].dst == topology.SERVER
    assert not pair[1].settle()


def test_neighbours(pair, wire):
    """One VM does not reach the other, its gateway, or anything under its names, though rules open all addresses."""
    for vm, other in pair, reversed(pair):
        answer = vm.ask("softnet.policy.set", allow=[*OPEN, *PRIVATE, f"{other.address}/32", f"{other.gateway}/32",
                                                     f"out {other.gateway}/32:53", "@host"],
                        block=[], desiredRevision="neighbours")
        assert "result" in answer
        frames = []
        for target in other.address, other.gateway:
            for way in (vm.ip(target), Ether(src=MAC, dst=other.gateway_mac) / IP(src=vm.address, dst=target),
                        Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / IP(src=vm.address, dst=target),
                        vm.ip(target, src=other.address)):
                frames += [way / TCP(sport=3000, dport=port, flags="S") for port in (22, 53, 80)]
                frames += [way / UDP(sport=3000, dport=port) / MARK for port in (53, 68, 5353)]
                frames += [way / ICMP() / MARK]
            frames += [Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=MAC, psrc=vm.address, pdst=target),
                       Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=MAC, psrc=target, pdst=target)]
        assert leaked(vm, wire, other, frames) == []
