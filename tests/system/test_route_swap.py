"""The host's default route moves to another uplink while the VM runs."""

import time

import pytest
from lab import servers, topology


@pytest.fixture
def swapped_back(lab):
    yield
    lab.uplink_a_again()


WITHIN = 30  # A second or two, where nobody else wants the processor that is the guest's.


def first_answer(agent, port, within=WITHIN):
    """Asks again and again for who we are, as the server sees it, until there is an answer."""
    end = time.monotonic() + within
    while True:
        code, said = agent.ask(f"tcp-ask {topology.SERVICE} {port} 1 </dev/null 2>&1")
        if code == 0 and said.strip():
            return said.strip()
        assert time.monotonic() < end, f"no answer within {within} s: {said}"


def test_new_default_route(lab, agent, swapped_back):
    """New flows of TCP, UDP, ping and names work soon, from the new uplink's address."""
    with servers.Greeter(lab.server) as greeter, servers.UdpEcho(lab.server, topology.SERVICE) as echo:
        assert first_answer(agent, greeter.port) == topology.HOST
        agent.run(f"udp-ask {topology.SERVICE} {echo.port} 10")
        assert echo.peers[-1][0] == topology.HOST

        lab.default_by_b()
        assert first_answer(agent, greeter.port) == topology.HOST_B
        agent.run(f"udp-ask {topology.SERVICE} {echo.port} 10")
        assert echo.peers[-1][0] == topology.HOST_B
        agent.run(f"ping -c 1 -W 30 {topology.SERVICE}")
        assert "198.51.100.80" in agent.run("nslookup -type=a www.test")


def test_old_uplink_goes_down(lab, vm, agent, swapped_back):
    """The first uplink loses its cable; the forwards, on all addresses, answer on the other."""
    with servers.Greeter(lab.server) as greeter:
        assert first_answer(agent, greeter.port) == topology.HOST
        lab.default_by_b()
        lab.host.ip("link set a0 down")
        assert first_answer(agent, greeter.port) == topology.HOST_B
    page = lab.server.run("curl", "-sS", "--max-time", "100", f"http://{topology.HOST_B}:{vm.port(80)}/")
    assert "This is shared" in page.stdout
