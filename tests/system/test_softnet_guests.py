"""Two guests under rules, as hostile as their root can be: at each other, at the host by every form of its addresses,
at the clouds' metadata. Baits stand everywhere, and everything that moves on the host is looked at.

     host (lab/topology.py)
    +----------------------------------------------------------+
    |  `wide`: 0.0.0.0/0 is allowed, one client is blocked     |
    |  `plain`: one rule that fits nobody here                 |
    |                                                          |
    |  baits: 127.0.0.1, 0.0.0.0, ::1, ::, a0's and b0's       |
    |  addresses, and 169.254.169.254 on a card of its own     |
    +----------------------------------------------------------+

The network is in the process of the run, or in the sidecar: guests, rules and what they try are the same.
"""

import collections
import concurrent.futures
import contextlib
import ipaddress
import re
import socket

import pytest
from lab import servers, topology
from lab.bait import WORD, Baits, Wiretap
from lab.guest import answers
from scapy.layers.inet import ICMP, IP, TCP, UDP  # pylint: disable=no-name-in-module
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

# Who may call `wide`, and who may not; neither is named by a rule of `plain`.
FRIEND, BLOCKED = topology.SERVER, topology.ROUTER_A
WHO = {"wide": 24011, "plain": 24012}  # external ports of the guests' TCP port 11, which says who it is that calls
ECHO = {"wide": 24053, "plain": 24054}  # ... and of UDP echo

ANY4, ONE, ANY6 = 31000, 31001, 31002  # ports of the baits: on 0.0.0.0; on single addresses; on ::
BAITS = [("0.0.0.0", ANY4), ("::", ANY6)] + [(address, ONE) for address in (
    "127.0.0.1", "127.0.0.2", "::1", topology.HOST, topology.HOST_SECOND, topology.HOST_B, topology.HOST6,
    topology.METADATA)]
PORTS = (ANY4, ONE, ANY6)
FORBIDDEN_PORTS = {*PORTS, *WHO.values(), *ECHO.values()}

# 127.0.0.1 and 0.0.0.0 as programs take them.
TEXTS = ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "0.0.0.0", "0", "localhost",
         "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:0.0.0.0", "::1", "::"]
OTHERS = ["127.0.0.2", topology.METADATA, "169.254.0.1", topology.HOST, topology.HOST_SECOND, topology.HOST_B,
          topology.HOST6, f"::ffff:{topology.HOST}", f"::ffff:{topology.METADATA}"]

WIRE4 = ["0.0.0.0", "0.0.0.1", "127.0.0.1", "127.0.0.2", "127.255.255.254", topology.METADATA, "169.254.0.1",
         "255.255.255.255", "224.0.0.1", topology.HOST, topology.HOST_B]
WIRE6 = ["::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", f"::ffff:{topology.METADATA}",
         f"::ffff:{topology.HOST}", "64:ff9b::7f00:1", f"64:ff9b::{topology.HOST}", "2002:7f00:1::1", "fe80::1",
         "fd00:ec2::254", "ff02::1", topology.HOST6]

Guest = collections.namedtuple("Guest", "running agent address gateway")


@pytest.fixture(scope="module", params=["vmnet", "softnet"])
def guests(request, homes, guest):
    """Both boot at the same time."""
    kind = request.param
    tartlet = homes.tartlet()
    rules = {
        "wide": [f"--net-{kind}-allow", "0.0.0.0/0", f"--net-{kind}-block", f"in {BLOCKED}/32"],
        "plain": [f"--net-{kind}-block", "192.0.2.77/32"],
    }
    for name in rules:
        tartlet.create(name, guest)
    started = {name: tartlet.run(name, *options, kind=kind, expose=[
        "127.0.0.1:0:2", f"{WHO[name]}:11", f"{ECHO[name]}:53/udp"]) for name, options in rules.items()}
    made = {name: Guest(running, running.up(), running.address,
                        str(next(ipaddress.ip_network(running.fact("subnet")).hosts())))
            for name, running in started.items()}
    yield made
    for running in started.values():
        running.end()


def other(name):
    return "plain" if name == "wide" else "wide"


@pytest.fixture(scope="module")
def metadata(lab):
    """The clouds' address on a card of the host, as some have it."""
    lab.host.ip("link add meta0 type veth peer name meta1")
    for card in "meta0", "meta1":
        lab.host.ip(f"link set {card} up")
    lab.host.ip(f"address add {topology.METADATA}/32 dev meta0")
    yield
    lab.host.ip("link delete meta0")


@pytest.fixture(scope="module")
def baits(lab, metadata):
    """Each proven from the host itself: by TCP and UDP, by every form of the host's own addresses."""
    with Baits(lab.host, BAITS) as made:
        for address in {address for address, _ in BAITS} | {"::ffff:127.0.0.1", f"::ffff:{topology.HOST}"}:
            for port in PORTS:
                if bites(address, port):
                    with contextlib.closing(lab.host.connect(address, port)) as connection:
                        assert WORD in connection.makefile("rb").read()
                    assert answers(lab.host, address, port)[0] == WORD
        assert {(place, kind) for place, kind, _ in made.seen} == {
            (f"{address} {port}", kind) for address, port in BAITS for kind in ("tcp", "udp")}
        made.seen.clear()
        yield made


def bites(address, port):
    """Does somebody listen there?"""
    known = {address for address, _ in BAITS}
    if port == ANY4:
        return ":" not in address or address.startswith("::ffff:")
    return port == ANY6 or address.removeprefix("::ffff:") in known - {"0.0.0.0", "::"}


# --- what they try ---------------------------------------------------------------------------------------


def let_loose(one):
    """The guest sends its loopback and everything else to the gateway, by IPv6, too: what a program in it calls
    127.0.0.1 goes onto the wire."""
    agent, gateway = one.agent, one.gateway
    agent.run(f"ping -c 1 -W 60 {gateway}")
    [mac] = {word for word in agent.run(f"ip neigh show {gateway}").split() if word.count(":") == 5}
    agent.run("echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet")
    agent.run("ip address flush dev lo && ip link set lo down")
    agent.run(f"ip route replace 127.0.0.0/8 via {gateway} src {one.address}")
    agent.run("ip -6 route replace default dev eth0")
    for text in "127.0.0.1", "169.254.169.254":
        assert " dev eth0 " in agent.run(f"ip route get {text}")
    assert " dev eth0 " in agent.run(f"ip -6 route get {topology.HOST6}")
    return mac


def programs(targets, peers, exposed):
    """All that busybox has, many side by side in a command: nc, wget, ping, and UDP. It prints what was reached;
    `exposed` are the host's ports that lead to the other guest."""
    tries = []
    for text in topology.HOST, topology.HOST_B, peers[-1], "127.0.0.1":
        tries += [f"nc -w 2 {text} {exposed[0]} </dev/null", f"udp-ask {text} {exposed[1]} 4 1"]
    for text in targets:
        url = f"[{text}]" if ":" in text else text
        for port in PORTS:
            tries.append(f"nc -w 2 {text} {port} </dev/null")
            if ":" not in text:
                tries.append(f"udp-ask {text} {port} 4 1")
        tries.append(f"wget -T 2 -qO- http://{url}:{ANY4}/")
        tries.append(f"wget -T 2 -qO- http://{url}:{ONE}/")
        tries.append(f"ping -c 1 -W 1 {text}")
    for text in peers:
        tries += [f"nc -w 2 {text} {port} </dev/null" for port in (2, 7, 11, 22, 80)]
        tries += [f"wget -T 2 -qO- http://{text}/", f"udp-ask {text} 53 4 1", f"ping -c 1 -W 1 {text}"]
    return [f"({' & '.join(tries[at:at + 80])} & wait) 2>&1" for at in range(0, len(tries), 80)]


def reached(said, gateway):
    """What in the programs' words is an answer. The own gateway may be pinged."""
    return [line for line in said.splitlines() if re.search(r"BAIT|This is|SSH-|200 OK|not those that were sent", line)
            or ("bytes from" in line and f"bytes from {gateway}:" not in line)]


def raw_frames(one, mac, target):
    """What no socket would send: TCP, UDP and echo to every form of the addresses, by IPv4 and IPv6."""
    own = one.agent.run("cat /sys/class/net/eth0/address")
    way = Ether(src=own, dst=mac)
    mark = Raw(b"BAIT?")
    for address in [*WIRE4, target.address, target.gateway]:
        packet = way / IP(src=one.address, dst=address)
        for port in ONE, 7:
            yield packet / TCP(sport=4000 + port % 97, dport=port, seq=1, flags="S")
            yield packet / UDP(sport=4000, dport=port) / mark
        yield packet / ICMP() / mark
    yield Ether(src=own, dst="ff:ff:ff:ff:ff:ff") / IP(src=one.address, dst=target.address) / ICMP() / mark
    for source in "fe80::99", f"::ffff:{one.address}":
        for address in WIRE6:
            packet = way / IPv6(src=source, dst=address)
            yield packet / TCP(sport=4000, dport=ANY6, seq=1, flags="S")
            yield packet / UDP(sport=4000, dport=ONE) / mark
            yield packet / ICMPv6EchoRequest(data=b"BAIT?")


def counted(one):
    """What the guest's own kernel has heard, but for us: connections made to it, datagrams, echo requests."""
    lines = [line.split() for line in one.agent.run("cat /proc/net/snmp").splitlines()]
    known = {line[0] + name: int(value) for line, values in zip(lines[::2], lines[1::2])
             for name, value in zip(line[1:], values[1:])}
    return {"opened": known["Tcp:PassiveOpens"] - one.agent.asked, "echo": known["Icmp:InEchos"],
            "datagrams": known["Udp:InDatagrams"] + known["Udp:NoPorts"]}


def goes_to(frame, addresses):
    """What a captured frame begins with a bait, or with one of the addresses; None: nothing."""
    packet = Ether(frame)
    if TCP in packet and packet[TCP].flags & 0x12 != 0x02:  # SYN alone begins something
        return None
    is_meant = b"BAIT" in frame or ICMPv6EchoRequest in packet or (ICMP in packet and packet[ICMP].type == 8)
    for layer in packet.getlayer(TCP), packet.getlayer(UDP):
        is_meant = is_meant or (layer is not None and layer.dport in FORBIDDEN_PORTS)
    is_meant = is_meant or (IP in packet and packet[IP].dst in addresses)
    return packet.summary() if is_meant else None


@contextlib.contextmanager
def decoy(lab, address):
    """The host's own way to the other guest's address leads to somebody."""
    lab.server.ip(f"address add {address}/32 dev lo")
    lab.router_a.ip(f"route add {address}/32 via {topology.SERVER} dev s0")
    try:
        with servers.Greeter(lab.server, address=address, port=80) as made:
            with lab.host.connect(address, 80) as direct:
                assert direct.recv(100)
            yield made
    finally:
        lab.router_a.ip(f"route delete {address}/32")
        lab.server.ip(f"address delete {address}/32 dev lo")


def attack(one, mac, target, exposed):
    """What its programs said. It ends with what the guest may do, so that all before has been judged by then."""
    sent = int(one.agent.run("cat /sys/class/net/eth0/statistics/tx_packets"))
    said = "".join(one.agent.ask(command)[1] for command in programs(
        TEXTS + OTHERS + [one.gateway], [target.address, target.gateway, one.gateway], exposed))
    frames = [bytes(frame).hex() for frame in raw_frames(one, mac, target)]
    for at in range(0, len(frames), 60):
        assert one.agent.run(f"send-frames eth0 {' '.join(frames[at:at + 60])}").endswith(" sent")
    assert one.agent.run(f"dig @{one.gateway} +tcp +short www.test") == "198.51.100.80"
    sent = int(one.agent.run("cat /sys/class/net/eth0/statistics/tx_packets")) - sent
    assert sent > len(frames) + 200 and "refused" in said, "it did not even try"
    return said


def test_nothing_is_reached(guests, lab, dns, baits):
    with contextlib.ExitStack() as stack:
        tap = stack.enter_context(Wiretap(lab.host))
        decoys = [stack.enter_context(decoy(lab, one.address)) for one in guests.values()]
        inside = {address for one in guests.values() for address in (one.address, one.gateway)}
        assert any(goes_to(frame, inside) for frame in tap.frames())
        macs = {name: let_loose(one) for name, one in guests.items()}
        before = {name: counted(one) for name, one in guests.items()}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            said = dict(zip(guests, pool.map(
                lambda name: attack(guests[name], macs[name], guests[other(name)],
                                    (WHO[other(name)], ECHO[other(name)])), guests)))
        after = {name: counted(one) for name, one in guests.items()}
        captured = tap.frames()
        for name, one in guests.items():
            assert reached(said[name], one.gateway) == []
        assert baits.seen == []
        assert [len(made.peers) for made in decoys] == [1, 1]
        assert any(b"\x03www\x04test" in frame for frame in captured), "the tap sees nothing"
        assert [found for frame in captured if (found := goes_to(frame, inside))] == []
        assert after == before


def test_rules_are_in_force(guests, lab):
    """0.0.0.0/0 opens the documentation's addresses, too, which are closed to the other guest."""
    with servers.Greeter(lab.server) as greeter:
        assert guests["wide"].agent.run(f"tcp-ask {topology.SERVER} {greeter.port} 60 </dev/null") == topology.HOST
        code, said = guests["plain"].agent.ask(f"tcp-ask {topology.SERVER} {greeter.port} 60 </dev/null 2>/dev/null")
        assert (code, said) == (1, "") and len(greeter.peers) == 1


# --- exposed ports ---------------------------------------------------------------------------------------


def called(namespace, name):
    """Whom the guest says it is that calls by TCP; None: reset."""
    try:
        with contextlib.closing(namespace.connect(topology.HOST, WHO[name])) as connection:
            return connection.recv(100).decode().split()[0]
    except ConnectionResetError:
        return None


def test_clients_of_exposed_ports(guests, lab):
    """They come without a rule and are answered, though the guest could not call them; a rule keeps one out, and
    the guest hears nothing of it."""
    for name, client, address in (("plain", lab.server, FRIEND), ("plain", lab.router_a, BLOCKED),
                                  ("wide", lab.server, FRIEND)):
        assert called(client, name) == address
        assert answers(client, topology.HOST, ECHO[name]) == (b"hello", (topology.HOST, ECHO[name]))
    before = counted(guests["wide"])
    assert called(lab.router_a, "wide") is None
    with lab.router_a.socket(socket.AF_INET, socket.SOCK_DGRAM) as blocked:
        blocked.sendto(b"hello", (topology.HOST, ECHO["wide"]))
        # Judged in their order: when the friend has its answer, that one was refused.
        assert answers(lab.server, topology.HOST, ECHO["wide"], again=60)[0] == b"hello"
        blocked.setblocking(False)
        with pytest.raises(BlockingIOError):
            blocked.recv(100)
    assert counted(guests["wide"]) == before | {"datagrams": before["datagrams"] + 1}
