"""Whom the guest sees as the client of a forward, told by the guest itself (echo-server PORT who): a client
of another machine as what it is, and as the gateway one whose address would not lead back to it. And
that every answer comes from the address that was asked."""

import ipaddress
import socket

import pytest
from lab import topology
from lab.guest import ask, family

WHO = 11
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
KINDS = pytest.mark.parametrize("kind", [TCP, UDP], ids=["tcp", "udp"])


def port_of(vm, kind, internal=WHO):
    return vm.port(internal, "tcp" if kind == TCP else "udp")


def seen(namespace, vm, kind, client, asked, client_port=0):
    """Address and port by which the guest knows a client that asks at ASKED, and the client's own port."""
    with namespace.socket(family(asked), kind) as connection:
        connection.bind((client, client_port))
        own_port = connection.getsockname()[1]
        address = (asked, port_of(vm, kind))
        if kind == TCP:
            connection.settimeout(60)
            connection.connect(address)
            text = connection.makefile("rb").read()
        else:
            text, peer = ask(connection, *address)
            assert peer == address
    told, told_port = text.decode().split()
    return told, int(told_port), own_port


def gateway(vm):
    return str(next(ipaddress.ip_network(vm.fact("subnet")).hosts()))


@KINDS
@pytest.mark.parametrize("machine, client", [("router_a", topology.ROUTER_A), ("server", topology.SERVER)])
@pytest.mark.parametrize("asked", [topology.HOST, topology.HOST_SECOND])
def test_another_machine_is_seen_as_it_is(lab, vm, kind, machine, client, asked):
    """A neighbour on the host's own LAN, and one beyond a router."""
    told, told_port, own_port = seen(getattr(lab, machine), vm, kind, client, asked)
    assert (told, told_port) == (client, own_port)


@KINDS
@pytest.mark.parametrize("client, asked", [
    ("127.0.0.1", "127.0.0.1"), ("127.0.0.9", "127.0.0.1"), (topology.HOST, topology.HOST),
    (topology.HOST_SECOND, topology.HOST), ("::1", "::1"), (topology.HOST6, topology.HOST6),
])
def test_the_host_is_seen_as_the_gateway(lab, vm, kind, client, asked):
    assert seen(lab.host, vm, kind, client, asked)[0] == gateway(vm)


@KINDS
def test_ipv6_is_seen_as_the_gateway(lab, vm, kind):
    assert seen(lab.server, vm, kind, topology.SERVER6, topology.HOST6)[0] == gateway(vm)


@pytest.fixture
def twins(lab):
    """Two sockets of the host with one port, on two of its addresses: one and the same to a guest."""
    def make(kind):
        first, second = (lab.host.socket(socket.AF_INET, kind) for _ in range(2))
        made.extend((first, second))
        first.bind(("127.0.0.1", 0))
        second.bind((topology.HOST, first.getsockname()[1]))
        return first, second

    made = []
    yield make
    for one in made:
        one.close()


def test_two_that_look_alike_over_udp(vm, twins):
    """One of them gets another port, and each its own answers."""
    port = vm.port(WHO, "udp")
    first, second = twins(UDP)
    told = [ask(one, address, port)[0].split() for one, address in
            ((first, "127.0.0.1"), (second, topology.HOST))]
    assert [address for address, _ in told] == [gateway(vm).encode()] * 2
    assert told[0][1] != told[1][1]
    # in the other order, with both known
    again = [ask(one, address, port)[0].split() for one, address in
             ((second, topology.HOST), (first, "127.0.0.1"))]
    assert again == told[::-1]


def test_two_that_look_alike_over_tcp(vm, twins):
    """Both open at once, each with its own bytes."""
    port = vm.port(7)
    first, second = twins(TCP)
    for one, address in ((first, "127.0.0.1"), (second, topology.HOST)):
        one.settimeout(60)
        one.connect((address, port))
    second.sendall(b"second\n")
    first.sendall(b"first\n")
    assert first.recv(100) == b"first\n"
    assert second.recv(100) == b"second\n"


def test_one_client_that_asks_at_two_addresses(lab, vm):
    """By one socket, both questions under way at once: each answer leaves from where its question came
    to, not from where the host's routes would have it leave."""
    port = vm.port(53, "udp")
    asked = {b"first": (topology.HOST, port), b"second": (topology.HOST_SECOND, port)}
    with lab.server.socket(socket.AF_INET, UDP) as client:
        for question in asked:
            ask(client, *asked[question], question)  # so that none is lost below for want of a neighbour
        client.settimeout(60)
        for round_ in range(5):
            # Each round has words of its own: what was asked twice above may be answered twice, and late.
            wanted = {b"%s %d" % (question, round_): address for question, address in asked.items()}
            for question in wanted if round_ % 2 else reversed(wanted):
                client.sendto(question, wanted[question])
            came = {}
            while came.keys() != wanted.keys():
                answer, address = client.recvfrom(100)
                if answer in wanted or answer not in asked:
                    assert answer in wanted and answer not in came, answer
                    came[answer] = address
            assert came == wanted
