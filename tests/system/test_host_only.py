"""`--net-host`: a guest that has the gateway and nothing else, and a host that reaches it all the same."""

import collections
import ipaddress
import json

import pytest
from lab import servers, topology
from lab.guest import TunnelledAgent, answers

NAME = "alone"


@pytest.fixture(scope="module")
def alone(homes, guest):
    tartlet = homes.tartlet()
    tartlet.create(NAME, guest)
    running = tartlet.run(NAME, "--net-host", expose=[])
    yield running
    running.end()


@pytest.fixture(scope="module")
def agent(alone):
    """By `tartlet nc`: no port of the host leads to this guest."""
    return TunnelledAgent(alone.tartlet, NAME).wait()


@pytest.fixture(scope="module")
def gateway(alone):
    return str(next(ipaddress.ip_network(alone.fact("subnet")).hosts()))


@pytest.fixture
def desperate(agent, gateway):
    """The guest's root has made itself the default route that it was not given."""
    agent.run(f"ip route add default via {gateway}")
    yield agent
    agent.run("ip route del default")


def drops(alone, lab):
    path = alone.tartlet.home / "vms" / NAME / "control.sock"
    said = lab.host.run("curl", "-sS", "--unix-socket", path, "http://vm/v1/statistics").stdout
    return collections.Counter(json.loads(said)["drops"])


def test_what_dhcp_says(alone, agent, gateway):
    assert alone.forwards == []
    lease = agent.lease()
    subnet = alone.fact("subnet")
    assert (lease["address"], lease["prefix"]) == (alone.address, subnet.split("/")[1])
    assert (lease["routers"], lease["dns"], lease["domain"]) == ("", gateway, "internal")
    assert agent.run("ip route").split()[:3] == [subnet, "dev", "eth0"]
    assert agent.run("ip route | wc -l") == "1"
    assert agent.run("ip -6 route show default") == ""
    agent.run(f"ping -c 1 -W 60 {gateway}")


def test_get_says_so(alone):
    found = json.loads(alone.tartlet.command("get", NAME, "--format", "json").stdout)
    assert (found["Network"], found["Subnet"]) == ("host-only", alone.fact("subnet"))
    assert "Network    host-only\n" in alone.tartlet.command("get", NAME).stdout


def test_names(alone, agent, gateway, dns, lab):
    """Its own, the host's and those of the host's file; the outside is refused, and never asked."""
    for name, address in (("host.internal", gateway), (NAME, alone.address), (f"{NAME}.internal", alone.address),
                          ("printer.lan", "198.51.100.77")):
        assert agent.run(f"nslookup -type=a {name} {gateway}").endswith(f"Address: {address}")
    questions = dns.asked()
    before = drops(alone, lab)["dns_outside"]
    for number, way in enumerate(("+notcp", "+tcp"), 1):
        said = agent.run(f"dig @{gateway} {way} +tries=1 +time=60 c2VjcmV0.www.test TXT")
        assert "status: REFUSED" in said
        assert drops(alone, lab)["dns_outside"] == before + number
    assert "bad address" in agent.ask("ping -c 1 -W 1 www.test")[1]  # at once, by the resolver of its C library
    assert dns.asked() == questions


def test_no_way_out(alone, lab, dns, desperate, gateway):
    """Not to the outside, the host's own addresses, other VMs' subnets or a name server, by TCP, UDP or ping."""
    questions = dns.asked()
    before = drops(alone, lab)
    with servers.Greeter(lab.server) as outside, servers.Greeter(lab.host) as host, \
            servers.Greeter(lab.host, address="127.0.0.1") as loopback, servers.UdpEcho(lab.server) as echo:
        for address in topology.SERVER, topology.METADATA:
            with lab.host.connect(address, outside.port) as bait:
                assert bait.recv(100)
        seen = len(outside.peers)
        for address, port in ((topology.SERVER, outside.port), (topology.METADATA, outside.port),
                              (topology.SERVER, 53), (topology.SERVICE, 53), (topology.HOST, host.port),
                              (topology.HOST_B, host.port), (gateway, host.port), (gateway, loopback.port),
                              (gateway, 80), ("127.0.0.1", loopback.port), ("10.255.255.254", 80)):
            code, said = desperate.ask(f"tcp-ask {address} {port} 3 </dev/null 2>/dev/null")
            assert (code, said) == (1, ""), address
        assert desperate.ask(f"udp-ask {topology.SERVER} {echo.port} hello 1 2>/dev/null")[1] == ""
        assert "connection refused" in desperate.ask(f"dig @{topology.SERVICE} +tcp +tries=1 +time=60 www.test")[1]
        desperate.ask(f"dig @{topology.SERVICE} +notcp +tries=1 +time=1 www.test")
        for address in topology.SERVER, topology.HOST, topology.ROUTER_A:
            assert desperate.ask(f"ping -c 1 -W 1 {address}")[0] != 0
        assert (len(outside.peers), host.peers, loopback.peers, echo.peers) == (seen, [], [], [])
    assert dns.asked() == questions
    after = drops(alone, lab)
    assert after["nat_off"] > before["nat_off"] and after["host_access"] > before["host_access"]


def test_the_host_reaches_the_guest(alone, agent, lab, gateway, guest_files):
    """nc (by which the tests talk to it), ssh, exec, and a forward that is asked for: its clients are the gateway
    to a guest that could not answer anybody else."""
    tartlet = alone.tartlet
    done = tartlet.command("ssh", "-F", "none", "-i", guest_files["ssh_key"], "-l", "root", NAME, "hostname")
    assert done.stdout == f"{NAME}\n"
    assert tartlet.command("exec", NAME, "hostname").stdout == f"{NAME}\n"
    assert tartlet.command("ip", NAME, "--resolver", "agent").stdout == f"{alone.address}\n"
    added = tartlet.command("forward", "add", NAME, f"{topology.HOST}:0:11,{topology.HOST}:0:53/udp").stdout
    who, echo = (int(line.split(" -> ")[0].rsplit(":", 1)[1]) for line in added.splitlines())
    for client in lab.server, lab.router_a, lab.host:
        with client.connect(topology.HOST, who) as connection:
            assert connection.recv(100).decode().split()[0] == gateway
    assert answers(lab.server, topology.HOST, echo) == (b"hello", (topology.HOST, echo))
    # The guest has no socket at the host's address, not even towards itself.
    assert agent.ask(f"tcp-ask {gateway} {who} 3 </dev/null 2>/dev/null") == (1, "")
    tartlet.command("forward", "remove", NAME, f"{topology.HOST}:{who}")


def test_namespace(homes, dns):
    tartlet = homes.tartlet()
    done = tartlet.command("netns", "--net-host", "--", "sh", "-c", "ip route; getent ahostsv4 host.internal; "
                           "getent ahostsv4 www.test || echo none; ip route add default via "
                           "$(sed -n 's/nameserver //p' /etc/resolv.conf) && "
                           f"busybox nc -w 3 {topology.SERVICE} 53 </dev/null || echo refused")
    routes, host, *rest = done.stdout.splitlines()
    assert routes.split()[1:3] == ["dev", "eth0"] and "via" not in routes
    assert ipaddress.ip_address(host.split()[0]) in ipaddress.ip_network(routes.split()[0])
    assert [line for line in rest if not line.startswith(host.split()[0])] == ["none", "refused"]
