"""From the guest to the world: TCP, UDP, ping and traceroute, and what it may not reach."""

import ipaddress
import json
import re
import socket
import time

import pytest
from lab import pattern, servers, topology
from lab.waiting import until

BYTES = 100_000_000


def gateway(vm):
    return str(next(ipaddress.ip_network(vm.fact("subnet")).hosts()))


def test_100_mb_down(lab, agent):
    with servers.Source(lab.server, BYTES) as source:
        said = agent.run(f"tcp-ask {topology.SERVER} {source.port} </dev/null | sha256sum", timeout=400)
    assert said.split()[0] == pattern.sha256(BYTES)
    assert source.peers == [topology.HOST]


def test_100_mb_up(lab, agent):
    """The server answers after the end of what it got: half close works outwards."""
    with servers.Sink(lab.server) as sink:
        said = agent.run(f"pattern {BYTES} 9 | tcp-ask {topology.SERVER} {sink.port}", timeout=400)
    assert said == f"{BYTES} {pattern.sha256(BYTES, 9)}"


@pytest.mark.soak
def test_1_gb_both_ways_at_once(lab, agent):
    count = 1_000_000_000
    with servers.TcpEcho(lab.server) as echo:
        said = agent.run(f"pattern {count} 4 | tcp-ask {topology.SERVER} {echo.port} | sha256sum",
                         timeout=900)
    assert said.split()[0] == pattern.sha256(count, 4)


def test_both_ways_at_once(lab, agent):
    count = 10_000_000
    with servers.TcpEcho(lab.server) as echo:
        said = agent.run(f"pattern {count} 4 | tcp-ask {topology.SERVER} {echo.port} | sha256sum", timeout=400)
    assert said.split()[0] == pattern.sha256(count, 4)


@pytest.mark.parametrize("reverse", ["", "-R"])
def test_iperf3(lab, agent, reverse):
    with lab.server.popen("iperf3", "-s", "-1", "-p", "5202", "--forceflush", stdout=-1, text=True) as server:
        until(lambda: "listening" in server.stdout.readline(), 60, "iperf3 server")
        said = agent.run(f"iperf3 -c {topology.SERVER} -p 5202 -n 10M -J {reverse}", timeout=200)
        server.wait(100)
    # The receiver stops counting when the control connection says that the test is over, which may
    # overtake the last bytes. That none is lost is test_100_mb_up and _down.
    assert json.loads(said)["end"]["sum_received"]["bytes"] >= 5_000_000


def test_many_connections(lab, agent):
    """40 at once, each with its own bytes."""
    with servers.Sink(lab.server) as sink:
        command = (f"for i in $(seq 40); do pattern $((i * 1000)) $i | tcp-ask {topology.SERVER} {sink.port} "
                   ">/tmp/out.$i & done; wait; for i in $(seq 40); do cat /tmp/out.$i; done; rm /tmp/out.*")
        said = agent.run(command)
    assert said.splitlines() == [f"{i * 1000} {pattern.sha256(i * 1000, i)}" for i in range(1, 41)]


def test_refused_at_once(lab, agent):
    with lab.server.socket(socket.AF_INET, socket.SOCK_STREAM) as closed:
        closed.bind(("0.0.0.0", 0))  # bound, not listening: nobody else takes it
        start = time.monotonic()
        code, said = agent.ask(f"tcp-ask {topology.SERVER} {closed.getsockname()[1]} 100 </dev/null 2>&1")
    assert code != 0 and "refused" in said
    assert time.monotonic() - start < 50, "that is tcp-ask's patience, not an answer"


def test_unreachable_is_said(agent):
    start = time.monotonic()
    code, said = agent.ask(f"tcp-ask {topology.UNREACHABLE} 80 100 </dev/null 2>&1")
    assert code != 0 and ("unreachable" in said or "No route" in said)
    assert time.monotonic() - start < 50, "that is tcp-ask's patience, not an answer"


def test_reset_reaches_the_guest(lab, agent):
    with servers.Resetter(lab.server) as server:
        said = agent.ask(f"echo x | tcp-ask {topology.SERVER} {server.port} 2>&1")[1]
    assert "reset" in said.lower()


@pytest.mark.parametrize("size", [1, 1472, 1473, 8000, 40000])
def test_udp(lab, agent, size):
    """Above the MTU the guest sends fragments, and gets fragments back."""
    with servers.UdpEcho(lab.server) as echo:
        said = agent.run(f"udp-ask {topology.SERVER} {echo.port} {size}")
    assert said == f"{size} bytes from {topology.SERVER}:{echo.port}"
    assert {peer[0] for peer in echo.peers} == {topology.HOST}


def test_udp_port_unreachable_is_said(lab, agent):
    """Nothing listens: the ICMP error becomes the guest's ECONNREFUSED."""
    with lab.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
    code, said = agent.ask(f"udp-ask {topology.SERVER} {port} 10 60 2>&1")
    assert code == 3 and "refused" in said


def test_udp_mapping_is_endpoint_independent(lab, agent):
    """Two servers see one guest socket come from one and the same port."""
    with servers.UdpEcho(lab.server, port=4001) as one, servers.UdpEcho(lab.server, port=4002) as other:
        # dig binds the port that is asked for; both servers echo, which dig takes for no answer
        for port in (4001, 4002):
            agent.ask(f"dig -b 0.0.0.0#45454 @{topology.SERVER} -p {port} +tries=1 +time=1 x.test")
        # dig does not wait for the servers' threads
        until(lambda: one.peers and other.peers, 60, "both servers were asked")
        assert {peer[1] for peer in one.peers} == {peer[1] for peer in other.peers}


def test_ping(agent):
    said = agent.run(f"ping -c 3 -W 30 {topology.SERVER}")
    assert "3 packets received" in said


def test_ping_big(agent):
    assert "2 packets received" in agent.run(f"ping -c 2 -W 30 -s 4000 {topology.SERVER}")


def test_ping_gateway(vm, agent):
    assert "2 packets received" in agent.run(f"ping -c 2 -W 30 {gateway(vm)}")


def hops(said):
    return re.findall(r"^ *\d+ +(\S+)", said, re.MULTILINE)


@pytest.mark.parametrize("kind", ["", "-I"])
def test_traceroute(vm, agent, kind):
    """The gateway, the router beyond the host, and the server: by UDP and by ICMP echo."""
    said = agent.run(f"traceroute {kind} -n -q 1 -w 30 -m 5 {topology.SERVER}")
    assert hops(said) == [gateway(vm), topology.ROUTER_A, topology.SERVER]


def nothing_reached(agent, address, port):
    code, said = agent.ask(f"tcp-ask {address} {port} 4 </dev/null 2>&1")
    assert code != 0 or said == "", f"{address}:{port} answered {said}"


@pytest.mark.parametrize("address", [topology.HOST, topology.HOST_SECOND, topology.HOST_B, "127.0.0.1"])
def test_host_is_closed(lab, agent, address):
    """What listens on the host is not for the guest, by none of the host's addresses."""
    with servers.Greeter(lab.host) as greeter:
        nothing_reached(agent, address, greeter.port)
        assert greeter.peers == []


def test_host_is_closed_by_the_gateway_address(lab, vm, agent):
    with servers.Greeter(lab.host) as greeter:
        nothing_reached(agent, gateway(vm), greeter.port)
        assert greeter.peers == []


@pytest.mark.parametrize("address", [topology.HOST, topology.HOST_B, None, "127.0.0.1"])
def test_host_is_closed_over_udp(lab, vm, agent, address):
    """None: the gateway's."""
    with servers.UdpEcho(lab.host) as echo:
        code, said = agent.ask(f"udp-ask {address or gateway(vm)} {echo.port} 10 1 2>&1")
        assert code != 0, said
        assert echo.peers == []


def test_metadata_is_closed(lab, agent):
    with servers.Greeter(lab.server, address=topology.METADATA) as greeter:
        # the way there is open but for tartlet
        with lab.host.connect(topology.METADATA, greeter.port) as direct:
            assert direct.recv(100)
        nothing_reached(agent, topology.METADATA, greeter.port)
        assert len(greeter.peers) == 1
