"""softnet, the sidecar, as a program: what it is told, what it says, and how it ends."""

import contextlib
import os
import signal
import socket
import subprocess

import pytest
from lab import servers, topology
from lab.softnet import MAC, Softnet
from scapy.all import DNS, DNSQR, ICMP, IP, TCP, UDP, Raw


def test_from_lease_to_end(softnet, lab):
    """A lease, a flow that a rule allows, one that none does, and an end in order."""
    with servers.TcpEcho(lab.server) as echo:
        vm = softnet("--allow", f"{topology.SERVER}/32:{echo.port}")
        offered = vm.lease()
        assert offered["router"] == (vm.gateway,) and offered["name_server"] == (vm.gateway,)
        assert vm.tcp(topology.SERVER, echo.port, 2000) == "SA"
        assert vm.tcp("198.51.100.130", echo.port, 2001) == "RA"
    assert vm.end() == (0, "")


def test_exposed(softnet, lab):
    """Ports of the host are open to the network, and reported."""
    vm = softnet("--expose", "0:22")
    port = vm.report["forwards"][0]["externalPort"]
    vm.lease()
    with contextlib.closing(lab.router_a.socket(socket.AF_INET, socket.SOCK_STREAM)) as client:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.connect((topology.HOST, port))
        syn = vm.receive(lambda frame: frame.haslayer("TCP"))
        assert syn["TCP"].dport == 22 and syn["IP"].src == topology.ROUTER_A


def asked(vm, name, source_port):
    """The gateway's answer to a question for an address."""
    vm.send(vm.ip(vm.gateway) / UDP(sport=source_port, dport=53) / DNS(id=source_port, rd=1, qd=DNSQR(qname=name)))
    return vm.receive(lambda frame: DNS in frame and frame[DNS].id == source_port)[DNS]


def test_host_only(softnet, lab, dns):
    """--vm-net-type host: whatever the rules say, no way out, and no name from there; who comes is the gateway."""
    questions = len(dns.log)
    with servers.TcpEcho(lab.server) as echo:
        vm = softnet("--vm-net-type", "host", "--allow", "0.0.0.0/0", "--expose", "0:22")
        offered = vm.lease()
        assert "router" not in offered and 121 not in offered and 33 not in offered
        assert offered["name_server"] == (vm.gateway,) and "subnet_mask" in offered
        assert vm.tcp(topology.SERVER, echo.port, 2000) == "RA"
        assert vm.tcp(topology.SERVICE, 53, 2001) == "RA"
        assert asked(vm, "secret.www.test", 2002).rcode == 5
        assert asked(vm, "host.internal", 2003).an.rdata == vm.gateway
        vm.udp(topology.SERVICE, 53, b"secret")
        vm.send(vm.ip(vm.gateway) / ICMP() / Raw(b"here"))
        assert vm.receive(lambda frame: ICMP in frame and frame[ICMP].type == 0)
        assert echo.peers == [] and len(dns.log) == questions
    with contextlib.closing(lab.router_a.socket(socket.AF_INET, socket.SOCK_STREAM)) as client:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.connect((topology.HOST, vm.report["forwards"][0]["externalPort"]))
        syn = vm.receive(lambda frame: TCP in frame and frame[TCP].dport == 22)
        assert syn[IP].src == vm.gateway
    assert vm.end() == (0, "")


def test_live_rules(softnet, lab):
    with servers.TcpEcho(lab.server) as echo:
        vm = softnet()
        vm.lease()
        assert vm.ask("softnet.policy.get")["result"]["ruleCount"] == 0
        assert vm.tcp(topology.SERVER, echo.port, 2000) == "RA"
        answer = vm.ask("softnet.policy.set", allow=[f"{topology.SERVER}/32"], block=[], desiredRevision="1")
        assert answer["result"]["allow"] == [f"{topology.SERVER}/32"]
        assert vm.tcp(topology.SERVER, echo.port, 2001) == "SA"
        vm.ask("softnet.policy.set", allow=[], block=[], desiredRevision="2")
        reset = vm.receive(lambda frame: frame.haslayer("TCP") and frame["TCP"].dport == 2001)
        assert "R" in str(reset["TCP"].flags)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_well(softnet, signal_number):
    vm = softnet()
    vm.process.send_signal(signal_number)
    assert vm.process.wait(30) == 0


@pytest.mark.parametrize("options, said", [
    (["--vm-mac-address", MAC], "--vm-fd is missing"),
    (["--vm-fd", "0"], "--vm-mac-address is missing"),
    (["--vm-fd", "99"], 'invalid value "99" for --vm-fd: no such descriptor is open'),
    (["--vm-fd", "0", "--vm-mac-address", "02:00"], 'invalid value "02:00" for --vm-mac-address'),
    (["--vm-net-type", "bridged"], 'invalid value "bridged" for --vm-net-type: expected nat or host'),
    (["--expose", "2222"], 'invalid exposed port specification "2222", the format should be EXTERNAL:INTERNAL'),
    (["--allow", "10.0.0.0/33"], 'invalid rule "10.0.0.0/33": a prefix is ADDRESS/LENGTH'),
    (["--block", "@hosts"], 'invalid rule "@hosts": the only name is @host'),
    (["--attach", "tap"], 'invalid value "tap" for --attach'),
    (["--sandbox", "off"], 'invalid value "off" for --sandbox: expected default or strict'),
    (["--vm-fd", "0", "--vm-mac-address", MAC, "--control-fd", "0"], "are the same descriptor"),
    (["--vm-fd", "0", "--vm-mac-address", MAC, "--user", "root"], "root is what is to be given up"),
    (["--vm-fd", "0", "--vm-mac-address", MAC, "--user", "nobody-knows"], "there is no such user"),
    (["--vm-fd", "0", "--vm-mac-address", MAC], "is not a socket"),
])
def test_bad_options(softnet_program, options, said, tmp_path):
    """One sentence, exit code 1: Softnet has no other."""
    done = subprocess.run([softnet_program, *options], stdin=subprocess.DEVNULL, text=True, check=False,
                          capture_output=True, timeout=30, env=os.environ | {"HOME": str(tmp_path)})
    assert done.returncode == 1 and said in done.stderr


def test_port_is_taken(softnet_program, lab, tmp_path, softnet):
    vm = softnet("--expose", "127.0.0.1:4022:22", "--label", "first")
    with pytest.raises(AssertionError, match="4022.*first"):
        Softnet(softnet_program, lab.host, tmp_path, "--expose", "127.0.0.1:4022:22")
    assert vm.end()[0] == 0
