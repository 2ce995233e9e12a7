"""Every case of tests/softnet_cases.txt as packets through softnet: what passes is on the wire, what does not is not.

Outwards, the VM sends a TCP SYN, a UDP datagram and, where no port is given, an echo request. It has passed when a
packet to that address and port left the host; or, for the gateway, when the service behind it answered. Inwards,
a client that has the address (and, as source port, the port) connects to an exposed port. What is said of the host is
asked at the gateway's address and, with one rule more, at the host's own.
"""

import collections
import contextlib
import dataclasses
import ipaddress
import socket

import pytest
from lab import cases, servers, topology
from lab.wire import Wire
from scapy.all import DNS, DNSQR, ICMP, IP, TCP, UDP, Ether, Raw

POLICIES = cases.read()
SUBNET = "192.168.64.0/30"
# What no rule opens: the engine refuses it by itself (design: "What a guest may reach by default").
NEVER = [ipaddress.ip_network(text) for text in (
    "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4",  # nobody, loopback, groups, reserved
    "169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32",  # metadata of clouds
    SUBNET,  # but for the gateway, the VM's own
    "::/0")]  # guests have no IPv6
# No rule names it, so a question without a port is asked by it, too.
NO_PORT = 9
# Open on the host's LAN address, where the gateway leads to once a rule allows @host.
HOST_PORTS = [NO_PORT, 22, 53, 80, 8080, 9090]


def is_never(address):
    return address != cases.GATEWAY and any(ipaddress.ip_address(address) in network for network in NEVER)


@pytest.fixture(scope="module")
def wire(lab):
    """Clients with every address of the `in` cases, a way to them, and an eye on all that leaves the host."""
    clients = {question.address for policy in POLICIES for question in policy.questions
               if question.direction == "in" and question.address != cases.GATEWAY}
    for client in clients:
        lab.server.ip(f"address add {client}/32 dev lo")
        lab.router_a.ip(f"route add {client}/32 via {topology.SERVER} dev s0")
    with contextlib.ExitStack() as stack:
        for port in HOST_PORTS:
            stack.enter_context(servers.TcpEcho(lab.host, topology.HOST, port))
            stack.enter_context(servers.UdpEcho(lab.host, topology.HOST, port))
        yield stack.enter_context(Wire(lab.host))
    for client in clients:
        lab.server.ip(f"address del {client}/32 dev lo")
        lab.router_a.ip(f"route del {client}/32")


class Guest:
    """One softnet for all policies of one kind of isolation; each probe has a port of its own."""

    def __init__(self, softnet, wire, *options):
        self.vm = softnet("--subnet", SUBNET, "--expose", "0:7000,0:7000/udp", *options)
        assert self.vm.gateway == cases.GATEWAY
        self.vm.lease()
        self.wire = wire
        self.port = 20000
        by_protocol = {forward["protocol"]: forward["externalPort"] for forward in self.vm.report["forwards"]}
        self.exposed_tcp, self.exposed_udp = by_protocol["tcp"], by_protocol["udp"]

    def fresh_port(self):
        self.port += 1
        return self.port


def left_host(frames, kind, address, port):
    """Whether one of the wire's frames is such a packet."""
    for data in frames:
        if data[12:14] not in (b"\x08\x00", b"\x86\xdd"):
            continue
        frame = Ether(data)
        if IP not in frame or frame[IP].dst != address:
            continue
        if kind == "icmp" and ICMP in frame and frame[ICMP].type == 8:
            return True
        if kind == "tcp" and TCP in frame and frame[TCP].dport == port and frame[TCP].flags == "S":
            return True
        if kind == "udp" and UDP in frame and frame[UDP].dport == port:
            return True
    return False


def probes(guest, question):
    """(kind, frame, source port) for each kind of packet that the question is asked by."""
    way = guest.vm.ip(question.address)
    port = question.port or NO_PORT
    tcp, udp, echo = guest.fresh_port(), guest.fresh_port(), guest.fresh_port()
    payload = DNS(rd=1, qd=DNSQR(qname="www.test")) if port == 53 else Raw(b"hello")
    yield "tcp", way / TCP(sport=tcp, dport=port, flags="S", seq=1000), tcp
    yield "udp", way / UDP(sport=udp, dport=port) / payload, udp
    if not question.port:
        yield "icmp", way / ICMP(id=echo, seq=1) / b"hello", echo


def answer_of(kind, frame, port):
    """What the frame says to the probe of that kind and source port, or None."""
    if TCP in frame and kind == "tcp" and frame[TCP].dport == port:
        return {"SA": "open", "RA": "reset", "R": "reset"}[str(frame[TCP].flags)]
    if UDP in frame and ICMP not in frame and kind == "udp" and frame[UDP].dport == port:
        return "answer"
    if ICMP in frame and frame[ICMP].type == 0 and kind == "icmp" and frame[ICMP].id == port:
        return "answer"
    return None


def refused_services(policy, question, kind):
    """The host behind the gateway is reached by a rule that allows @host alone, whatever is global."""
    return question.address == cases.GATEWAY and kind != "icmp" and question.port != 53 and \
        not policy.opens_host(question.port or NO_PORT)


def ask_out(guest, policy, question):
    """Sends the probes and yields (kind, whether it passed, what was said)."""
    for kind, frame, port in probes(guest, question):
        guest.wire.take()
        guest.vm.send(frame)
        heard = guest.vm.settle()
        answers = [said for said in (answer_of(kind, one, port) for one in heard) if said]
        if question.address != cases.GATEWAY:
            passed = left_host(guest.wire.take(), kind, question.address, question.port or NO_PORT)
        else:
            if not answers and question.passes and not refused_services(policy, question, kind):
                late = guest.vm.receive(lambda one, kind=kind, port=port: answer_of(kind, one, port))
                answers = [answer_of(kind, late, port)]
            passed = bool({"open", "answer"} & set(answers))
        yield kind, passed, answers


def check_out(guest, policy, question, seen):
    is_v6 = ":" in question.address
    if is_v6:  # no frame of it is taken at all
        guest.wire.take()
        guest.vm.send(guest.vm.ip6(question.address) / UDP(sport=guest.fresh_port(), dport=question.port or NO_PORT))
        guest.vm.settle()
        # Neighbours may be asked for, by whoever is on the wire; this address is not looked for.
        packed = ipaddress.ip_address(question.address).packed
        assert not any(packed in frame for frame in guest.wire.take())
        seen["refused by the engine" if question.passes else "dropped"] += 1
        return
    for kind, passed, answers in ask_out(guest, policy, question):
        wanted = question.passes
        if wanted and (is_never(question.address) or refused_services(policy, question, kind)):
            wanted = False
            seen["refused by the engine"] += 1
        assert passed == wanted, f"{policy.name}: {question.line}: {kind} {'passed' if passed else 'was dropped'}"
        if kind == "tcp" and not passed and not is_never(question.address):
            assert answers == ["reset"], f"{policy.name}: {question.line}: {answers}"
        seen["passed" if passed else "dropped"] += 1


def heard_of_host(guest, frame, port, lab):
    """What the VM hears of a probe that must not pass. The echo at that port answers in turn: once another client has
    its answer, one to the probe was sent before it."""
    guest.vm.send(frame)
    heard = guest.vm.settle()
    with contextlib.closing(lab.host.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.settimeout(60)
        other.sendto(b"hello", (topology.HOST, port))
        other.recv(100)
    return heard + guest.vm.settle()


def check_host_at(guest, policy, question, seen, lab):
    """What listens on the host, by one of its addresses. What is the gateway's own is not asked here."""
    for kind, frame, port in probes(guest, question):
        if question.address == cases.GATEWAY and (kind == "icmp" or question.port == 53):
            continue
        if question.passes or kind == "tcp":
            guest.vm.send(frame)
            got = guest.vm.receive(lambda one, kind=kind, port=port: answer_of(kind, one, port))
            said = got and answer_of(kind, got, port)
        else:  # an ICMP error says so, but not at any rate
            heard = heard_of_host(guest, frame, question.port or NO_PORT, lab)
            said = next((said for said in (answer_of(kind, one, port) for one in heard) if said), "nothing")
        wanted = {"tcp": "open"}.get(kind, "answer") if question.passes else {"tcp": "reset"}.get(kind, "nothing")
        assert said == wanted, f"{policy.name}: {question.line}: {kind} at {question.address}: {said}"
        seen["the host passed" if question.passes else "the host dropped"] += 1


def check_host(guest, policy, questions, seen, lab):
    for question in questions:
        check_host_at(guest, policy, question, seen, lab)
    answer = guest.vm.ask("softnet.policy.set", allow=[*policy.allow, f"{topology.HOST}/32"], block=policy.block,
                          desiredRevision=f"{policy.name}, by its own address")
    assert "result" in answer, f"{policy.name}: {answer}"
    for question in questions:
        check_host_at(guest, policy, dataclasses.replace(question, address=topology.HOST), seen, lab)


def arrived(frame, kind):
    return kind in frame and ICMP not in frame and frame[kind].dport == 7000


def check_arrived(guest, policy, question):
    """Both come, in any order. The VM refuses the stream, so that it is over."""
    missing = {TCP, UDP}
    while missing:
        got = guest.vm.receive(lambda frame: any(arrived(frame, kind) for kind in missing))
        assert got, f"{policy.name}: {question.line}: {missing} did not come"
        assert got[IP].src == question.address
        missing.discard(TCP if TCP in got else UDP)
        if TCP in got:
            guest.vm.send(guest.vm.ip(got[IP].src) / TCP(sport=7000, dport=got[TCP].sport, flags="RA", seq=0,
                                                         ack=got[TCP].seq + 1))


def check_in(guest, policy, question, seen, lab):
    """A stream and a datagram of the client; the VM hears of them, or does not."""
    namespace = lab.host if question.address == cases.GATEWAY else lab.server
    local = topology.HOST if question.address == cases.GATEWAY else question.address
    with contextlib.closing(namespace.socket(socket.AF_INET, socket.SOCK_STREAM)) as stream, \
            contextlib.closing(namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)) as datagram:
        for one in stream, datagram:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((local, question.port))
            one.settimeout(20)
        datagram.sendto(b"hello", (topology.HOST, guest.exposed_udp))
        if question.passes:
            stream.connect((topology.HOST, guest.exposed_tcp))
            check_arrived(guest, policy, question)
        with pytest.raises(ConnectionResetError):  # where it does not pass, by connect() or by recv(), as it comes
            if not question.passes:
                stream.connect((topology.HOST, guest.exposed_tcp))
            stream.recv(1)
        if not question.passes:
            assert not any(arrived(frame, kind) for frame in guest.vm.settle() for kind in (TCP, UDP)), \
                f"{policy.name}: {question.line}: it came"
    seen["passed" if question.passes else "dropped"] += 2


def check_policy(guest, policy, seen, lab):
    answer = guest.vm.ask("softnet.policy.set", allow=policy.allow, block=policy.block, desiredRevision=policy.name)
    assert "result" in answer, f"{policy.name}: {answer}"
    assert policy.rules in (None, answer["result"]["ruleCount"]), policy.name
    assert NO_PORT not in policy.named_ports()
    for question in policy.questions:
        if question.direction == "out":
            check_out(guest, policy, question, seen)
        elif question.direction == "in":
            check_in(guest, policy, question, seen, lab)
    check_host(guest, policy, [one for one in policy.questions if one.direction == "host"], seen, lab)


def test_every_case(softnet_kept, lab, wire):
    """By one process for those that isolate, and one for those that do not: that cannot be changed."""
    seen = collections.Counter()
    for isolates in True, False:
        guest = Guest(softnet_kept, wire, *([] if isolates else ["--allow", "0.0.0.0/0"]))
        for policy in POLICIES:
            if policy.isolates() == isolates:
                check_policy(guest, policy, seen, lab)
        assert guest.vm.end() == (0, "")
    # It is not all of one kind.
    assert seen["passed"] > 40 and seen["dropped"] > 100 and seen["refused by the engine"] > 20, seen
    assert seen["the host passed"] > 40 and seen["the host dropped"] > 80, seen
