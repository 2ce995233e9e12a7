"""softnet's flows and its DHCP, packet by packet: what begins a flow, what belongs to one, and what never does.

A VM whose rules allow one server; every packet that leaves the host is seen by Wire.
"""

import contextlib
import itertools
import socket

import pytest
from lab import servers, topology
from lab.wire import Wire
from scapy.all import BOOTP, DHCP, ICMP, IP, TCP, UDP, Ether, Raw, fragment

ALLOWED = f"{topology.SERVER}/32"
OTHER_MAC = "02:00:00:00:00:99"
source_ports = itertools.count(20000)
revisions = itertools.count(1)


def rules(vm, allow=(ALLOWED,), block=()):
    answer = vm.ask("softnet.policy.set", allow=list(allow), block=list(block), desiredRevision=str(next(revisions)))
    assert "result" in answer, answer


@pytest.fixture(scope="module")
def started(softnet_kept):
    made = softnet_kept("--expose", "0:7000/udp")
    made.lease()
    yield made
    assert made.end() == (0, "")


@pytest.fixture
def vm(started):
    rules(started)
    started.settle()
    return started


@pytest.fixture(scope="module")
def echo(lab):
    with servers.TcpEcho(lab.server) as tcp, servers.UdpEcho(lab.server, topology.SERVER) as udp:
        yield tcp.port, udp.port, udp.socket


@pytest.fixture
def wire(lab, echo):
    with Wire(lab.host) as made:
        yield made


def to_server(wire):
    """The packets to the server that have left the host since the last time."""
    frames = [Ether(data) for data in wire.take() if data[12:14] == b"\x08\x00"]
    return [frame for frame in frames if frame[IP].dst == topology.SERVER]


def sent(vm, wire, *frames):
    """What of these frames reaches the wire, and what the VM hears."""
    wire.take()
    for frame in frames:
        vm.send(frame)
    heard = vm.settle()
    return to_server(wire), heard


def says(frame, text):
    """Whether that is what it carries (behind it, a short frame is padded)."""
    return Raw in frame and frame[Raw].load == text


def connected(vm, port):
    """A connection's source port and the server's number."""
    source = next(source_ports)
    vm.send(vm.ip(topology.SERVER) / TCP(sport=source, dport=port, flags="S", seq=1000))
    answer = vm.receive(lambda frame: TCP in frame and frame[TCP].dport == source)
    assert answer[TCP].flags == "SA" and answer[TCP].ack == 1001
    vm.send(vm.ip(topology.SERVER) / TCP(sport=source, dport=port, flags="A", seq=1001, ack=answer[TCP].seq + 1))
    return source, answer[TCP].seq + 1


def said(vm, source, port, number, own=1001, text=b"hello"):
    return vm.ip(topology.SERVER) / TCP(sport=source, dport=port, flags="PA", seq=own, ack=number) / text


# --- TCP ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", ["S", "SEC", "SP"])
def test_syn_begins(vm, wire, echo, flags):
    passed, _ = sent(vm, wire, vm.ip(topology.SERVER) / TCP(sport=next(source_ports), dport=echo[0], flags=flags))
    assert [frame[TCP].flags for frame in passed][0] == "S"


@pytest.mark.parametrize("flags", ["", "A", "F", "R", "RA", "FA", "PA", "U", "SA", "SF", "SR", "SFRPAU", "SFP"])
def test_no_clean_syn(vm, wire, echo, flags):
    """Nothing else begins a flow, and no answer but a RST comes."""
    source = next(source_ports)
    passed, heard = sent(vm, wire, vm.ip(topology.SERVER) / TCP(sport=source, dport=echo[0], flags=flags) / b"hello")
    assert passed == []
    assert all("R" in str(frame[TCP].flags) for frame in heard if TCP in frame and frame[TCP].dport == source)


def test_syn_goes_back_to_policy(vm, wire, echo):
    """The same five numbers again are judged by the rules of now; so is every other packet of what was a flow."""
    source, number = connected(vm, echo[0])
    passed, heard = sent(vm, wire, vm.ip(topology.SERVER) / TCP(sport=source, dport=echo[0], flags="S", seq=77000))
    assert not any(frame[TCP].flags == "S" for frame in passed)
    assert any(TCP in frame and frame[TCP].flags == "A" for frame in heard)  # a challenge, RFC 5961
    vm.send(said(vm, source, echo[0], number))
    assert vm.receive(lambda frame: says(frame, b"hello"))
    wire.take()
    rules(vm, allow=[])
    heard = vm.settle()
    assert any(TCP in frame and "R" in str(frame[TCP].flags) for frame in heard)
    assert any("R" in str(frame[TCP].flags) for frame in to_server(wire))
    for frame in (vm.ip(topology.SERVER) / TCP(sport=source, dport=echo[0], flags="S", seq=90000),
                  said(vm, source, echo[0], number + 5, own=1006)):
        passed, heard = sent(vm, wire, frame)
        assert passed == []
    rules(vm)
    assert vm.tcp(topology.SERVER, echo[0], source) == "SA"


def test_longer_block_ends_one_flow(vm, lab, echo):
    """A rule about one port ends the flow to that port, and leaves the other."""
    with_port, _ = connected(vm, echo[0])
    with servers.TcpEcho(lab.server) as other:
        kept, kept_number = connected(vm, other.port)
        rules(vm, block=[f"{topology.SERVER}/32:{echo[0]}"])
        assert any(TCP in frame and frame[TCP].dport == with_port and "R" in str(frame[TCP].flags)
                   for frame in vm.settle())
        vm.send(said(vm, kept, other.port, kept_number))
        assert vm.receive(lambda frame: TCP in frame and frame[TCP].dport == kept and
                          says(frame, b"hello"))


# --- UDP ------------------------------------------------------------------------------------------------


def test_datagrams_follow_the_policy(vm, wire, echo):
    """In both directions, and at once; what was sent meanwhile does not come later."""
    source = next(source_ports)
    vm.udp(topology.SERVER, echo[1], b"first", source)
    assert vm.receive(lambda frame: says(frame, b"first"))
    peer = servers_view(wire, echo[1])
    rules(vm, allow=[])
    passed, heard = sent(vm, wire, vm.ip(topology.SERVER) / UDP(sport=source, dport=echo[1]) / b"second")
    assert passed == [] and any(ICMP in frame and (frame[ICMP].type, frame[ICMP].code) == (3, 13) for frame in heard)
    echo[2].sendto(b"late", (topology.HOST, peer))
    assert not any(b"late" in bytes(frame) for frame in vm.settle())
    rules(vm)
    vm.udp(topology.SERVER, echo[1], b"third", source)
    assert vm.receive(lambda frame: says(frame, b"third"))


def servers_view(wire, port):
    """The port of the host by which the last datagram to the server's port left."""
    return [frame for frame in to_server(wire) if UDP in frame and frame[UDP].dport == port][-1][UDP].sport


def test_only_who_was_asked(vm, wire, lab, echo):
    """A rule that keeps the server out lets it answer, from the very port that was asked."""
    rules(vm, allow=[f"out {ALLOWED}"], block=["in 0.0.0.0/0"])
    source = next(source_ports)
    vm.udp(topology.SERVER, echo[1], b"question", source)
    assert vm.receive(lambda frame: says(frame, b"question"))
    mapped = servers_view(wire, echo[1])
    for address in topology.SERVER, "198.51.100.130":
        with contextlib.closing(lab.server.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
            stranger.bind((address, 0))
            stranger.sendto(b"unasked", (topology.HOST, mapped))
    exposed = vm.report["forwards"][0]["externalPort"]
    echo[2].sendto(b"unasked", (topology.HOST, exposed))
    assert not any(b"unasked" in bytes(frame) for frame in vm.settle())
    echo[2].sendto(b"more", (topology.HOST, mapped))
    assert vm.receive(lambda frame: says(frame, b"more"))


# --- what is no flow --------------------------------------------------------------------------------------


def test_zero_ports(vm, wire, echo):
    passed, _ = sent(vm, wire,
                     *[vm.ip(topology.SERVER) / kind / Raw(b"hello") for kind in (
                         TCP(sport=0, dport=echo[0], flags="S"), TCP(sport=2000, dport=0, flags="S"),
                         TCP(sport=0, dport=0, flags="S"), UDP(sport=0, dport=echo[1]), UDP(sport=2000, dport=0),
                         UDP(sport=0, dport=0))])
    assert passed == []


def test_checksums(vm, wire, echo):
    """What arrived broken is gone; a datagram without a checksum (RFC 768) is not broken."""
    way = vm.ip(topology.SERVER)
    passed, _ = sent(vm, wire,
                     way / ICMP(id=77, seq=1, chksum=0x1234) / b"broken",
                     way / UDP(sport=2100, dport=echo[1], chksum=0x1234) / b"broken",
                     vm.ip(topology.SERVER, chksum=0x1234) / UDP(sport=2100, dport=echo[1]) / b"broken")
    assert passed == []
    passed, _ = sent(vm, wire, way / UDP(sport=2100, dport=echo[1], chksum=0) / b"unchecked")
    assert len(passed) == 1 and says(passed[0], b"unchecked")
    source, number = connected(vm, echo[0])
    broken = said(vm, source, echo[0], number)
    broken[TCP].chksum = 0x1234
    passed, _ = sent(vm, wire, broken)
    assert not any(b"hello" in bytes(frame) for frame in passed)


def test_echo(vm, wire, lab):
    """A request is answered; an answer that nobody asked for does not leave, and no other message does. The host
    is asked from outside without the VM's hearing of it."""
    way = vm.ip(topology.SERVER)
    vm.send(way / ICMP(id=500, seq=9) / b"ping")
    answer = vm.receive(lambda frame: ICMP in frame)
    assert (answer[ICMP].type, answer[ICMP].id, answer[ICMP].seq) == (0, 500, 9)
    assert says(answer, b"ping")
    quoted = bytes(vm.ip("198.51.100.130")[IP] / UDP(sport=1, dport=2))
    passed, _ = sent(vm, wire, way / ICMP(type=0, id=500, seq=9) / b"pong", way / ICMP(type=8, code=0, chksum=0, id=1),
                     *[way / ICMP(type=kind, code=code) / quoted
                       for kind, code in ((3, 1), (3, 4), (4, 0), (5, 1), (9, 0), (10, 0), (11, 0), (12, 0), (13, 0),
                                          (15, 0), (17, 0), (30, 0), (42, 0))])
    assert passed == []
    lab.server.run("ping", "-c", "1", "-W", "60", topology.HOST)
    assert not any(ICMP in frame for frame in vm.settle())
    rules(vm, allow=[])
    passed, heard = sent(vm, wire, way / ICMP(id=500, seq=10) / b"ping")
    assert passed == [] and not any(ICMP in frame and frame[ICMP].type == 0 for frame in heard)


def test_fragments(vm, wire, echo):
    """They are one packet, which is judged as a whole by what its first says; the rest without it is nothing."""
    payload = bytes(range(256)) * 10
    whole = vm.ip(topology.SERVER, id=100) / UDP(sport=2200, dport=echo[1]) / payload
    vm.settle()
    for piece in reversed(fragment(whole, 600)):
        vm.send(piece)
    vm.receive(lambda frame: IP in frame and frame[IP].frag)  # the echo, in pieces too
    assert wire.take()
    vm.settle()
    passed, _ = sent(vm, wire, *fragment(vm.ip(topology.SERVER, id=101) / UDP(sport=2200, dport=echo[1]) / payload,
                                         600)[1:])
    assert passed == []
    rules(vm, allow=[f"{ALLOWED}:{echo[1]}"])
    passed, _ = sent(vm, wire, *fragment(vm.ip(topology.SERVER, id=102) / UDP(sport=2200, dport=9) / payload, 600))
    assert passed == []


# --- DHCP -------------------------------------------------------------------------------------------------


def dhcp_options(frame):
    return {option[0]: option[1] for option in frame[DHCP].options if isinstance(option, tuple)}


def asked(vm, *how, **fields):
    """The answer to a message, or None when there is none before the gateway answers the next question."""
    vm.send(vm.dhcp(*how, **fields))
    answers = [frame for frame in vm.settle() if DHCP in frame]
    assert len(answers) <= 1
    return answers[0] if answers else None


def test_dhcp_offer_and_ack(vm):
    identifier = ("client_id", b"\x01" + bytes(6))
    offer = asked(vm, "discover", identifier)
    ack = asked(vm, "request", ("requested_addr", vm.address), ("server_id", vm.gateway), identifier)
    for frame, kind in (offer, 2), (ack, 5):
        got = dhcp_options(frame)
        assert got["message-type"] == kind and frame[BOOTP].yiaddr == vm.address and frame[BOOTP].xid == 7
        assert got["subnet_mask"] == "255.255.255.252"
        assert got["router"] == got["name_server"] == got["server_id"] == vm.gateway
        assert got["client_id"] == identifier[1] and got["lease_time"] >= 3600
        assert frame[Ether].src == vm.gateway_mac and frame[IP].src == vm.gateway
        assert frame[UDP].len - 8 >= 300  # the least of BOOTP


def test_dhcp_renewal(vm):
    """By ciaddr, to the gateway or to all; another address is refused to all."""
    unicast = {"ether": {"dst": vm.gateway_mac}, "ip": {"src": vm.address, "dst": vm.gateway}}
    for way in unicast, {"ip": {"src": vm.address}}:
        answer = asked(vm, "request", ciaddr=vm.address, **way)
        assert dhcp_options(answer)["message-type"] == 5 and answer[IP].dst == vm.address
    for where in vm.gateway, "10.99.99.99", "255.255.255.255":
        answer = asked(vm, "request", ciaddr=where)
        assert dhcp_options(answer)["message-type"] == 6
        assert answer[IP].dst == "255.255.255.255" and answer[Ether].dst == "ff:ff:ff:ff:ff:ff"
        assert answer[BOOTP].yiaddr == answer[BOOTP].ciaddr == "0.0.0.0"
    answer = asked(vm, "request", ("requested_addr", "10.99.99.99"), ("server_id", vm.gateway))
    assert dhcp_options(answer)["message-type"] == 6


def test_dhcp_inform(vm):
    """Softnet is silent; here a VM with a fixed address hears the rest (RFC 2131 4.3.5), and of no other address."""
    unicast = {"ether": {"dst": vm.gateway_mac}, "ip": {"src": vm.address, "dst": vm.gateway}}
    answer = asked(vm, "inform", ciaddr=vm.address, **unicast)
    assert dhcp_options(answer)["message-type"] == 5 and answer[BOOTP].yiaddr == "0.0.0.0"
    assert dhcp_options(answer)["name_server"] == vm.gateway and "lease_time" not in dhcp_options(answer)
    assert asked(vm, "inform", ciaddr="10.99.99.99", **unicast) is None


def test_dhcp_whatever_the_rules_say(vm):
    for block in ["0.0.0.0/0"], ["@host"], [f"{vm.gateway}/32:67"]:
        rules(vm, allow=[], block=block)
        assert asked(vm, "discover") is not None
        answer = asked(vm, "request", ciaddr=vm.address, ether={"dst": vm.gateway_mac},
                       ip={"src": vm.address, "dst": vm.gateway})
        assert dhcp_options(answer)["message-type"] == 5


def test_dhcp_not_for_us(vm):
    """Somebody else's, of another net, of another server, or no client's message at all."""
    other = bytes.fromhex(OTHER_MAC.replace(":", ""))
    for fields in ({"chaddr": other}, {"giaddr": "10.1.1.1"}, {"htype": 6}, {"hlen": 7}, {"op": 2}, {"options": b"none"},
                   {"udp": {"sport": 69}}, {"udp": {"chksum": 0x1234}}, {"ip": {"chksum": 0x1234}},
                   {"ip": {"dst": "10.99.99.99"}}, {"ether": {"src": OTHER_MAC}},
                   {"ether": {"src": OTHER_MAC}, "chaddr": other}):
        assert asked(vm, "discover", **fields) is None, fields
    assert asked(vm, "request", ("requested_addr", vm.address), ("server_id", "10.99.99.99")) is None
    for kind in "offer", "ack", "nak":
        assert asked(vm, kind) is None
    for piece in fragment(vm.dhcp("discover"), 104):
        vm.send(piece)
    assert not any(DHCP in frame for frame in vm.settle())


def test_dhcp_stays_at_home(vm, wire, lab):
    """UDP port 67 of the world is closed, whatever rules allow, from any port."""
    rules(vm, allow=[ALLOWED, f"{ALLOWED}:67", "@host"])
    passed, _ = sent(vm, wire,
                     *[vm.dhcp("discover", ether={"dst": vm.gateway_mac}, ip={"src": vm.address, "dst": destination},
                               udp={"sport": source})
                       for destination in (topology.SERVER, topology.HOST) for source in (68, 67, 2300)])
    assert passed == []
    with contextlib.closing(lab.host.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind((topology.HOST, 67))
        server.setblocking(False)
        for source in 68, 2300:
            vm.send(vm.ip(vm.gateway) / UDP(sport=source, dport=67) / b"hello")
        vm.settle()
        with pytest.raises(BlockingIOError):
            server.recv(100)


def test_release_and_decline(softnet, echo):
    """The address remains the VM's: it is reserved. What it declines is told to whoever looks after it."""
    vm = softnet("--allow", ALLOWED)
    vm.lease()
    for kind, fields in ("release", {"ciaddr": vm.address}), ("decline", {}):
        assert asked(vm, kind, ("requested_addr", vm.address), ("server_id", vm.gateway), **fields) is None
        assert vm.lease()["server_id"] == (vm.gateway,)
        assert vm.tcp(topology.SERVER, echo[0], next(source_ports)) == "SA"
    assert vm.end() == (0, f"dhcp: a guest says that {vm.address} is in use already\n")
