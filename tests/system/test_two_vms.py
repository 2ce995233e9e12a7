"""Two VMs at once that would both like the same subnet, and two that know of each other."""

import ipaddress
import shutil

import pytest
from lab import servers, topology


def copy_shared(tartlet, other):
    shutil.copytree(tartlet.home / "vms" / "shared", other.home / "vms" / "shared",
                    ignore=lambda directory, names: [name for name in names if name == "run.json"
                                                     or name.endswith(".sock")])


@pytest.fixture(scope="module")
def twin(homes, tartlet, vm):
    """The shared VM's directory, copied to another home: the same name and MAC, so the same first
    candidate, and a home that knows nothing of the first one's assignment."""
    other = homes.tartlet()
    copy_shared(tartlet, other)
    running = other.run("shared", "--net-host-access", "lan")
    running.up()
    yield running
    running.end()


def mac(running):
    return running.agent().run("cat /sys/class/net/eth0/address")


def test_first_candidates_are_the_same(vm, twin):
    assert mac(vm) == mac(twin)


def test_first_candidate_when_alone(homes, tartlet, vm, tmp_path):
    """Where nobody contests it, the twin gets the very subnet of the shared VM."""
    alone = homes.tartlet(runtime=tmp_path)
    copy_shared(tartlet, alone)
    running = alone.run("shared", expose=[])
    try:
        assert running.fact("subnet") == vm.fact("subnet")
    finally:
        running.end()


def test_subnets_do_not_overlap(vm, twin):
    one, other = (ipaddress.ip_network(running.fact("subnet")) for running in (vm, twin))
    assert not one.overlaps(other)
    assert vm.address != twin.address


def test_both_answer(lab, vm, twin):
    for running in (vm, twin):
        assert running.agent().lease()["address"] == running.address
        page = lab.host.run("curl", "-sS", "--max-time", "100",
                            f"http://127.0.0.1:{running.port(80)}/").stdout
        assert "This is shared" in page


def test_both_reach_out(lab, vm, twin):
    with servers.Greeter(lab.server) as greeter:
        for running in (vm, twin):
            said = running.agent().run(f"tcp-ask {topology.SERVER} {greeter.port} </dev/null")
            assert said == topology.HOST


def test_one_does_not_reach_the_other(lab, vm, twin):
    """Not even where the host's way to that address leads to somebody."""
    for one, other in ((vm, twin), (twin, vm)):
        lab.server.ip(f"address add {other.address}/32 dev lo")
        lab.router_a.ip(f"route add {other.address}/32 via {topology.SERVER} dev s0")
        try:
            with servers.Greeter(lab.server, address=other.address) as greeter:
                with lab.host.connect(other.address, greeter.port) as direct:
                    assert direct.recv(100)
                code, said = one.agent().ask(f"tcp-ask {other.address} {greeter.port} 3 </dev/null 2>&1")
                assert code != 0 or said == ""
                assert len(greeter.peers) == 1
        finally:
            lab.router_a.ip(f"route delete {other.address}/32")
            lab.server.ip(f"address delete {other.address}/32 dev lo")


def test_host_access_lan(lab, twin):
    """Opens what listens on the default route's address, and nothing else of the host."""
    with servers.Greeter(lab.host) as greeter:
        agent = twin.agent()
        assert agent.run(f"tcp-ask {topology.HOST} {greeter.port} 5 </dev/null") != ""
        seen = len(greeter.peers)
        code, said = agent.ask(f"tcp-ask {topology.HOST_B} {greeter.port} 3 </dev/null 2>&1")
        assert code != 0 or said == ""
        assert len(greeter.peers) == seen


def test_assignment_is_told(twin):
    assert twin.tartlet.json("get", "shared")["Address"] == twin.address
