"""What cannot be had is said in a sentence, with the exit code, before anything starts."""

import ipaddress
import re
import socket

import pytest
from lab import servers, topology


@pytest.fixture(scope="module")
def idle(tartlet, guest):
    """A VM that must never start: every test here is refused."""
    tartlet.create("idle-conflict", guest)
    yield "idle-conflict"
    tartlet.command("delete", "idle-conflict")


def state(tartlet, name):
    return {entry["Name"]: entry for entry in tartlet.json("list")}[name]["State"]


def refused(tartlet, name, *options, expect=1):
    done = tartlet.command("run", name, *options, expect=expect)
    assert done.stderr.strip()
    if name == "idle-conflict":
        assert state(tartlet, name) == "stopped"
    return done.stderr


@pytest.mark.parametrize("kind, suffix", [(socket.SOCK_STREAM, ""), (socket.SOCK_DGRAM, "/udp")])
def test_port_of_another_program(lab, tartlet, idle, kind, suffix):
    with lab.host.socket(socket.AF_INET, kind) as other:
        other.bind(("0.0.0.0", 23000))
        if kind == socket.SOCK_STREAM:
            other.listen()
        said = refused(tartlet, idle, "--net-vmnet-expose", f"23000:22{suffix}")
    assert re.search(r"(TCP|UDP) port 23000 .*in use", said)


def test_port_of_another_vm(tartlet, vm, idle):
    port = vm.port(22)
    said = refused(tartlet, idle, "--net-vmnet-expose", f"{port}:22")
    assert re.search(rf'TCP port {port} on \S+ is in use by VM "shared"', said)


def test_one_of_many_ports_fails_all(lab, tartlet, vm, idle):
    """Fails whole: what came before the taken port is free again."""
    refused(tartlet, idle, "--net-vmnet-expose", f"23001:80,{vm.port(22)}:22")
    with lab.host.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("0.0.0.0", 23001))


def test_subnet_of_another_vm(tartlet, vm, idle):
    subnet = vm.fact("subnet")
    said = refused(tartlet, idle, "--net-vmnet-subnet", subnet)
    assert subnet in said and '"shared"' in said


def test_subnet_of_the_host(lab, tartlet, idle):
    lab.host.ip("address add 10.201.7.1/24 dev b0")
    try:
        said = refused(tartlet, idle, "--net-vmnet-subnet", "10.201.7.0/30")
    finally:
        lab.host.ip("address delete 10.201.7.1/24 dev b0")
    assert "10.201.7.0/" in said


@pytest.fixture
def visitor(tartlet, guest):
    """A VM that is run for its facts alone."""
    tartlet.create("visitor", guest)
    yield lambda: tartlet.run("visitor", expose=[])
    tartlet.command("delete", "visitor")


def test_routes_of_a_vpn_are_kept_clear_of(lab, visitor):
    """Where there is a choice: nothing of 10/8 is taken while the host has another route to it."""
    lab.host.ip(f"route add 10.0.0.0/8 via {topology.ROUTER_A} dev a0")
    try:
        running = visitor()
        try:
            subnet = ipaddress.ip_network(running.fact("subnet"))
            assert subnet.subnet_of(ipaddress.ip_network("192.168.0.0/16"))
        finally:
            running.end()
    finally:
        lab.host.ip("route delete 10.0.0.0/8")


def test_an_assignment_stays_when_the_host_moves_in(lab, visitor):
    """A conflict that appears later is a warning, not a move."""
    running = visitor()
    running.end()
    subnet = running.fact("subnet")
    address = ipaddress.ip_network(subnet).network_address + 3
    lab.host.ip(f"address add {address}/28 dev b0")
    try:
        again = visitor()
        again.end()
    finally:
        lab.host.ip(f"address delete {address}/28 dev b0")
    assert again.fact("subnet") == subnet
    assert f"assigned subnet {subnet} overlaps the host network" in again.output
    assert "overlaps" not in running.output


def test_the_same_port_twice(tartlet, idle):
    assert "23002" in refused(tartlet, idle, "--net-vmnet-expose", "23002:22,23002:80", expect=64)


@pytest.mark.parametrize("spec", [
    "2222", "0", ":", "2222:0", "99999:22", "2222:99999", "2222:22/sctp", "-1:22", "2222:22:22:22",
    "2222: 22", "2222-2224:22-23", "2224-2222:22-24", "300.1.1.1:2222:22", "[::1:2222:22", "a:b",
])
def test_bad_expose(tartlet, idle, spec):
    said = refused(tartlet, idle, "--net-vmnet-expose", f"23003:22,{spec}", expect=64)
    assert spec in said, "the bad piece is not named"


@pytest.mark.parametrize("subnet", [
    "10.1.2.1/30", "10.1.2.0/31", "10.1.2.0", "11.0.0.0/24", "0.0.0.0/0", "10.0.0.0/7", "10.1.2.0/33",
    "rubbish", "fd00::/64", "10.01.2.0/30",
])
def test_bad_subnet(tartlet, idle, subnet):
    assert subnet in refused(tartlet, idle, "--net-vmnet-subnet", subnet, expect=64)


def test_bad_host_access(tartlet, idle):
    refused(tartlet, idle, "--net-host-access", "everything", expect=64)


@pytest.mark.parametrize("other", [["--net-bridged", "a0"], ["--net-softnet"], ["--net-host"]])
def test_exclusive_networks(tartlet, idle, other):
    said = refused(tartlet, idle, "--net-vmnet", *other, expect=64)
    assert "mutually exclusive" in said


def test_network_to_come(tartlet, idle):
    assert "not available yet" in refused(tartlet, idle, "--net-bridged", "a0", expect=1)


def test_unknown_option(tartlet, idle):
    refused(tartlet, idle, "--no-such-option", expect=64)


def test_missing_vm(tartlet):
    assert 'the specified VM "nobody" does not exist' in refused(tartlet, "nobody", expect=1)


@pytest.mark.parametrize("command", ["ip", "get", "stop", "delete"])
def test_missing_vm_of_other_commands(tartlet, command):
    said = tartlet.command(command, "nobody", expect=2).stderr
    assert 'the specified VM "nobody" does not exist' in said


def test_already_running(tartlet, vm):
    """Found before the network is made: the running VM's ports and subnet are not touched."""
    assert 'VM "shared" is already running!' in refused(tartlet, "shared", expect=2)
    assert vm.agent().run("echo alive") == "alive"


def test_delete_of_a_running_vm(tartlet, vm):
    assert 'VM "shared" is running' in tartlet.command("delete", "shared", expect=1).stderr
    assert vm.agent().run("echo alive") == "alive"


def test_named_subnet_is_taken(lab, tartlet, guest):
    """And one that is free is had as asked for. This guest reaches loopback, too, by the gateway's address."""
    tartlet.create("own-subnet", guest)
    running = tartlet.run("own-subnet", "--net-vmnet-subnet", "10.200.64.0/24", "--net-host-access", "loopback")
    try:
        assert running.fact("subnet") == "10.200.64.0/24"
        assert ipaddress.ip_address(running.address) in ipaddress.ip_network("10.200.64.0/24")
        agent = running.up()
        assert agent.lease()["address"] == running.address
        with servers.Greeter(lab.host, address="127.0.0.1") as greeter:
            assert agent.run(f"tcp-ask 10.200.64.1 {greeter.port} 60 </dev/null") == "127.0.0.1"
    finally:
        running.end()


def test_address_to_bind_is_the_one_named(lab, tartlet, vm):
    tartlet.command("forward", "add", "shared", f"{topology.HOST_SECOND}:23010:7")
    try:
        with lab.host.connect(topology.HOST_SECOND, 23010) as connection:
            connection.sendall(b"x\n")
            assert connection.recv(10) == b"x\n"
        with pytest.raises(ConnectionRefusedError):
            lab.host.connect(topology.HOST, 23010)
    finally:
        tartlet.command("forward", "remove", "shared", f"{topology.HOST_SECOND}:23010:7")
