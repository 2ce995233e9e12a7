"""Frames by which a guest claims to be what it is not, or that are broken. None of them is to arrive anywhere.

Shared by the tests of in-process networks, where a program in the guest sends them, and of softnet. What they carry
has MARK in it, wherever there is room for it.
"""

import dataclasses

from scapy.all import (ARP, BOOTP, DHCP, GRE, ICMP, IP, TCP, UDP, Dot1AD, Dot1Q, Ether, ICMPv6ND_NA, ICMPv6ND_RA,
                       ICMPv6ND_Redirect, IPOption, IPOption_LSRR, IPOption_NOP, IPOption_Router_Alert, IPOption_RR,
                       IPOption_SSRR, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, Raw, fragment)

MARK = b"LIE"
OTHER_MAC = "02:00:00:00:00:99"
EVERYBODY = "ff:ff:ff:ff:ff:ff"


@dataclasses.dataclass
class Guest:
    """What the guest is, and whom its rules let it talk to."""
    mac: str
    own: str
    gateway: str
    gateway_mac: str
    server: str
    port: int

    def way(self, **ether):
        return Ether(**{"src": self.mac, "dst": self.gateway_mac} | ether)

    def ip(self, **fields):
        return IP(**{"src": self.own, "dst": self.server} | fields)

    def datagram(self, **fields):
        return UDP(**{"sport": 1000, "dport": self.port} | fields) / Raw(MARK)

    def all(self, payload):
        return self.way(dst=EVERYBODY) / payload


def neighbour_of(guest):
    return ".".join(guest.own.split(".")[:3] + ["200" if not guest.own.endswith(".200") else "201"])


def _sources(guest):
    way, data = guest.way(), guest.datagram()
    for mac in OTHER_MAC, guest.gateway_mac, EVERYBODY, "00:00:00:00:00:00", "01:00:5e:00:00:01":
        yield f"from MAC {mac}", [guest.way(src=mac) / guest.ip() / data]
    for source in (neighbour_of(guest), guest.server, guest.gateway, "127.0.0.1", "0.0.0.0", "255.255.255.255",
                   "224.0.0.1", "10.255.255.1", "8.8.8.8"):
        yield f"from {source}", [way / guest.ip(src=source) / data, way / guest.ip(src=source) / ICMP() / MARK,
                                 way / guest.ip(src=source) / TCP(sport=1000, dport=guest.port, flags="S")]
    yield "to groups", [way / guest.ip(dst="224.0.0.251") / data, way / guest.ip(dst="239.1.2.3") / data,
                        guest.way(dst="01:00:5e:00:00:fb") / guest.ip(dst="224.0.0.251") / data,
                        guest.way(dst="01:00:5e:00:00:fb") / guest.ip() / data]
    yield "to all", [guest.all(guest.ip(dst="255.255.255.255") / data), guest.all(guest.ip() / data)]
    yield "from no address", [way / IP(src="0.0.0.0", dst="255.255.255.255") / guest.datagram(sport=68),
                              way / IP(src="0.0.0.0", dst=guest.server) / guest.datagram(sport=68)]


def _arp(guest):
    neighbour = neighbour_of(guest)

    def arp(**fields):
        return ARP(**{"hwsrc": guest.mac, "psrc": guest.own, "pdst": guest.gateway} | fields)

    yield "ARP for the gateway", [guest.all(arp(op=op, psrc=guest.gateway, pdst=target))
                                  for op in (1, 2) for target in (guest.gateway, guest.own, neighbour)]
    yield "ARP by another MAC", [guest.all(arp(op=op, hwsrc=OTHER_MAC)) for op in (1, 2)] + \
        [guest.way(dst=EVERYBODY, src=OTHER_MAC) / arp(op=op, hwsrc=OTHER_MAC) for op in (1, 2)]
    yield "ARP by another address", [guest.all(arp(op=op, psrc=source)) for op in (1, 2)
                                     for source in (neighbour, guest.server, "255.255.255.255", "127.0.0.1")]
    yield "no ARP of Ethernet and IPv4", [
        guest.all(arp(**fields)) for fields in ({"hwtype": 6}, {"ptype": 0x86dd}, {"hwlen": 7}, {"plen": 5}, {"op": 0},
                                                {"op": 3}, {"op": 8})]


def _servers(guest):
    way = guest.way()
    answer = BOOTP(op=2, yiaddr=neighbour_of(guest), siaddr=guest.own) / DHCP(
        options=[("message-type", "ack"), ("server_id", guest.own), ("router", guest.own), "end"])
    yield "a DHCP server", [frame / UDP(sport=67, dport=68) / answer for frame in (
        way / guest.ip(dst=guest.gateway), guest.all(guest.ip(dst="255.255.255.255")), way / guest.ip(),
        way / guest.ip(dst=neighbour_of(guest)))]


def _ipv6(guest):
    way, router = guest.way(), guest.all(IPv6(src="fe80::1", dst="ff02::1"))
    inside = IPv6(src="2001:db8:5::77", dst="2001:db8:5::2")
    yield "IPv6", [way / inside / guest.datagram(), way / IPv6(src="::", dst="ff02::16") / guest.datagram(),
                   way / IPv6(src=f"::ffff:{guest.own}", dst=f"::ffff:{guest.server}") / guest.datagram(),
                   way / IPv6(src="fe80::1", dst="fd00:ec2::254") / TCP(dport=80, flags="S")]
    yield "a router", [router / ICMPv6ND_RA(), router / IPv6ExtHdrHopByHop() / ICMPv6ND_RA(),
                       router / IPv6ExtHdrFragment(m=1) / ICMPv6ND_RA(), router / ICMPv6ND_Redirect(),
                       router / ICMPv6ND_NA(), router / UDP(sport=547, dport=546) / Raw(MARK)]


def _ether(guest):
    way, inside = guest.way(), guest.ip() / guest.datagram()
    for vlan in 0, 1, 4095:
        yield f"VLAN {vlan}", [way / Dot1Q(vlan=vlan) / inside, way / Dot1AD(vlan=vlan) / inside,
                               way / Dot1Q(vlan=vlan) / Dot1Q(vlan=1) / inside,
                               guest.way(type=0x9100) / Raw(bytes([vlan >> 8, vlan & 255, 8, 0]) + bytes(inside)),
                               guest.all(Dot1Q(vlan=vlan) / ARP(hwsrc=guest.mac, psrc=guest.gateway))]
    yield "no IP", [guest.way(type=kind) / Raw(MARK * 20) for kind in (0x88cc, 0x0026, 0x8847, 0x8863, 0x8864, 0x8035,
                                                                        0x0000, 0x05ff, 0x0600, 0xffff)]
    yield "a bridge", [guest.way(dst="01:80:c2:00:00:00", type=0x0026) / Raw(MARK * 20)]
    yield "other protocols", [way / guest.ip(proto=number) / Raw(MARK * 20)
                              for number in (0, 2, 4, 41, 47, 50, 51, 89, 103, 112, 132, 136, 255)] + \
        [way / guest.ip() / GRE() / inside, way / guest.ip() / inside]


def _headers(guest):
    way, data = guest.way(), guest.datagram()
    routed = [option(routers=[guest.gateway]) for option in (IPOption_LSRR, IPOption_SSRR)]
    for option in [*routed, IPOption_RR(routers=["0.0.0.0"]), IPOption_Router_Alert(), IPOption_NOP(),
                   IPOption(copy_flag=0, optclass=2, option=4, length=8, value=bytes(6)),
                   IPOption(copy_flag=1, optclass=0, option=2, length=4, value=bytes(2))]:
        yield f"option {type(option).__name__}", [way / guest.ip(options=[option]) / data,
                                                  way / guest.ip(options=[option], dst=guest.gateway) / data]
    for field, values in (("len", (0, 19, 20, 27, 2000, 65535)), ("ihl", (0, 1, 4, 6, 15)),
                          ("version", (0, 5, 6, 15)), ("chksum", (0, 1)), ("ttl", (0, 1))):
        yield f"IP {field}", [way / guest.ip(**{field: value}) / data for value in values]
    yield "UDP length", [way / guest.ip() / guest.datagram(len=size) for size in (0, 4, 7, 8, 10, 12, 65535)]
    yield "UDP ports", [way / guest.ip() / guest.datagram(**ports) for ports in ({"sport": 0}, {"dport": 0})]
    yield "TCP", [way / guest.ip() / TCP(sport=1000, dport=guest.port, flags="S", dataofs=size) / MARK
                  for size in (0, 1, 4, 7, 15)] + \
        [way / guest.ip() / TCP(sport=1000, dport=guest.port, flags="S", chksum=1) / MARK]
    yield "ICMP", [way / guest.ip() / ICMP(type=kind) / MARK for kind in (0, 3, 4, 5, 9, 11, 13, 17, 200)] + \
        [way / guest.ip() / ICMP(chksum=1) / MARK]


def _fragments(guest):
    way = guest.way()
    whole = UDP(sport=1000, dport=guest.port) / Raw(MARK * 400)
    bytes_of = bytes(guest.ip() / whole)[20:]

    def piece(number, start, data, more, **fields):
        return way / guest.ip(id=number, frag=start // 8, flags="MF" if more else 0, proto=17, **fields) / Raw(data)

    yield "fragments from another", fragment(way / guest.ip(src=neighbour_of(guest), id=200) / whole, 600)
    yield "no first fragment", fragment(way / guest.ip(id=201) / whole, 600)[1:]
    yield "no last fragment", fragment(way / guest.ip(id=202) / whole, 600)[:-1]
    yield "a hole", [piece(203, 0, bytes_of[:800], True), piece(203, 808, bytes_of[808:], False)]
    # The second writes other ports over the first's, or other bytes over the others'.
    for number, (start, data) in enumerate([(0, bytes_of[:2] + b"\0\x35" + bytes_of[4:800]), (8, b"X" * 800),
                                            (400, b"X" * 400), (792, b"X" * 16)]):
        yield f"overlap at {start}", [piece(210 + number, 0, bytes_of[:800], True), piece(210 + number, start, data, True),
                                      piece(210 + number, 800, bytes_of[800:], False)]
    yield "a tiny first", [piece(220, 0, bytes_of[:4], True), piece(220, 8, bytes_of[8:], False)]
    yield "odd sizes", [piece(221, 0, bytes_of[:801], True), piece(221, 808, bytes_of[808:], False)]
    yield "two ends", [piece(222, 800, bytes_of[800:1000], False), piece(222, 1000, bytes_of[1000:1200], False),
                       piece(222, 0, bytes_of[:800], True)]
    yield "too long a whole", [piece(223, 65528, bytes_of[:1000], False), piece(223, 0, bytes_of[:800], True)]
    yield "nothing in it", [piece(224, 0, b"", True), piece(224, 8, b"", False)]
    yield "a server's first", fragment(way / guest.ip(id=225) / UDP(sport=67, dport=guest.port) / Raw(MARK * 400), 600)
    yield "options in one", [piece(226, 0, bytes_of[:800], True, options=[IPOption_NOP()]),
                             piece(226, 800, bytes_of[800:], False)]


def lies(guest):
    """(what they are, frames), of at least 14 bytes and at most 1514 each."""
    for kind in _sources, _arp, _servers, _ipv6, _ether, _headers, _fragments:
        yield from kind(guest)


def cut(guest):
    """Frames that end too early: at each byte, as they are, and with an IP header that knows of it."""
    way = guest.way()
    for name, payload in (("UDP", guest.datagram()), ("TCP", TCP(sport=1000, dport=guest.port, flags="S")),
                          ("ICMP", ICMP() / MARK)):
        frame = bytes(way / guest.ip() / payload)
        yield f"{name} cut", [frame[:size] for size in range(1, len(frame))]
        inside = bytes(guest.ip() / payload)[20:]
        least = {"UDP": len(inside), "TCP": 20, "ICMP": len(inside)}[name]
        number = {"UDP": 17, "TCP": 6, "ICMP": 1}[name]
        yield f"{name} short", [bytes(way / guest.ip(proto=number) / Raw(inside[:size])) for size in range(least)]
    arp = bytes(guest.all(ARP(hwsrc=guest.mac, psrc=guest.own, pdst=guest.gateway)))
    yield "ARP cut", [arp[:size] for size in range(1, len(arp))]


def oversized(guest, mtu=1500):
    """Frames longer than the network's."""
    for size in mtu + 1, mtu + 4, 9000, 65535:
        yield f"{size} bytes", [guest.way() / guest.ip() / UDP(sport=1000, dport=guest.port) /
                                Raw((MARK * size)[:size - 28])]
    for size in 70000, 100000:
        yield f"{size} bytes", [bytes(guest.way() / guest.ip(len=1500) / guest.datagram()) + MARK * (size // 3)]
