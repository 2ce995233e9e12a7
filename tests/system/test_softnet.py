"""softnet, the sidecar, as a program: what it is told, what it says, and how it ends."""

import contextlib
import grp
import itertools
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess

import pytest
from lab import servers, topology, waiting
from lab.softnet import MAC, Softnet
from scapy.all import DNS, DNSQR, ICMP, IP, TCP, UDP, Raw, UDPerror


def test_from_lease_to_end(softnet, lab):
    """A lease, a flow that a rule allows, one that none does, and an end in order."""
    with servers.TcpEcho(lab.server) as echo:
        vm = softnet("--allow", f"{topology.SERVER}/32:{echo.port}")
        offered = vm.lease()
        assert offered["router"] == (vm.gateway,) and offered["name_server"] == (vm.gateway,)
        assert vm.tcp(topology.SERVER, echo.port, 2000) == "SA"
        assert vm.tcp("198.51.100.130", echo.port, 2001) == "RA"
    assert vm.end() == (0, "")


@contextlib.contextmanager
def by_stream(program, lab, place):
    """The process, and the VM's end of its stream, as QEMU has it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        process = lab.host.popen(program, "--vm-fd", theirs.fileno(), "--vm-mac-address", MAC, "--attach", "stream",
                                 "--state-directory", place, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
        theirs.close()
        yield process, ours


def test_leaving_ends_it_well(softnet_program, lab, place):
    """QEMU closes its stream when it ends."""
    with by_stream(softnet_program, lab, place) as (process, vm):
        vm.close()
        assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0


def test_nonsense_ends_it(softnet_program, lab, place):
    """What is no frame, by the stream: the sentence, and 1."""
    with by_stream(softnet_program, lab, place) as (process, vm):
        vm.sendall(b"\xff" * 8)
        said = process.communicate(timeout=60)[1]
        assert b"impossible frame length" in said and process.returncode == 1


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


def test_live_rules_about_a_port_of_the_host(softnet, lab):
    """Another port of the host: what goes to the one before ends, by whatever address, and does not come again."""
    with servers.TcpEcho(lab.host, topology.HOST) as before, servers.TcpEcho(lab.host, topology.HOST) as after, \
            servers.UdpEcho(lab.host, topology.HOST, before.port):
        vm = softnet("--allow", f"{topology.HOST}/32,@host:{before.port}")
        vm.lease()
        names = list(enumerate((vm.gateway, topology.HOST)))

        def answer(name, number):
            """To a datagram of that flow: what it said, or None where it is refused."""
            vm.udp(name, before.port, b"hello", 2100 + number)
            got = vm.receive(lambda frame: UDP in frame and ICMP not in frame and frame[UDP].dport == 2100 + number or
                             UDPerror in frame and frame[UDPerror].sport == 2100 + number)
            return None if ICMP in got else got[UDP].load[:5]

        for number, name in names:
            assert vm.tcp(name, before.port, 2000 + number) == "SA"
            assert vm.tcp(name, after.port, 2010 + number) == "RA"
            assert answer(name, number) == b"hello"
        answer_to_set = vm.ask("softnet.policy.set", allow=[f"{topology.HOST}/32", f"@host:{after.port}"], block=[],
                               desiredRevision="1")
        assert "result" in answer_to_set
        left = {2000, 2001}
        while left:
            ended = vm.receive(lambda frame: TCP in frame and frame[TCP].dport in left and "R" in frame[TCP].flags)
            assert ended, f"{left} go on"
            left.discard(ended[TCP].dport)
        for number, name in names:
            assert vm.tcp(name, before.port, 2020 + number) == "RA"
            assert vm.tcp(name, after.port, 2030 + number) == "SA"
            assert answer(name, number) is None
        assert vm.end() == (0, "")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_well(softnet, signal_number):
    vm = softnet()
    vm.process.send_signal(signal_number)
    assert vm.process.wait(120) == 0


@pytest.mark.parametrize("options, said", [
    (["--vm-mac-address", MAC], "--vm-fd is missing"),
    (["--vm-fd", "0"], "--vm-mac-address is missing"),
    (["--vm-fd", "99"], 'invalid value "99" for --vm-fd: no such descriptor is open'),
    (["--vm-fd", "0", "--vm-mac-address", "02:00"], 'invalid value "02:00" for --vm-mac-address'),
    (["--vm-net-type", "bridged"], 'invalid value "bridged" for --vm-net-type: expected nat or host'),
    *[(["--expose", f"2222:22,{spec}"],
       f'invalid exposed port specification "{spec}", the format should be EXTERNAL:INTERNAL')
      for spec in ("2222", "2222:22:33", "a:b:c", "1:2:3:4", "1:2:3:4:5", "127.0.0.1:2:3:4", "127.0.0.300:2:3", "::1:2:3")],
    (["--expose", "127.0.0.1:2222:x"], "expected EXTERNAL_PORT:INTERNAL_PORT"),
    (["--expose", "[::1:2:3"], "an IPv6 host address is written [ADDRESS]:"),
    (["--allow", "10.0.0.0/33"], 'invalid rule "10.0.0.0/33": a prefix is ADDRESS/LENGTH'),
    (["--block", "@hosts"], 'invalid rule "@hosts": the only name is @host'),
    (["--attach", "tap"], 'invalid value "tap" for --attach'),
    (["--sandbox", "off"], 'invalid value "off" for --sandbox: expected default or strict'),
    (["--vm-fd", "0", "--vm-mac-address", MAC, "--report-fd", "0"], "--report-fd and --vm-fd are the same descriptor"),
    (["--control-fd", "0"], 'invalid value "0" for --control-fd: it should be a connected unix stream socket'),
    (["--vm-fd", "0", "--vm-mac-address", MAC, "--user", "root"], "root is what is to be given up"),
    (["--vm-fd", "0", "--vm-mac-address", MAC, "--user", "nobody-knows"], "there is no such user"),
    (["--vm-fd", "0", "--vm-mac-address", MAC], "is not a socket"),
])
def test_bad_options(softnet_program, options, said, tmp_path):
    """One sentence, exit code 1: Softnet has no other."""
    done = subprocess.run([softnet_program, *options], stdin=subprocess.DEVNULL, text=True, check=False,
                          capture_output=True, timeout=150, env=os.environ | {"HOME": str(tmp_path)})
    assert done.returncode == 1 and said in done.stderr


def test_port_is_taken(softnet_program, lab, place, softnet):
    vm = softnet("--expose", "127.0.0.1:4022:22", "--label", "first")
    with pytest.raises(AssertionError, match="4022.*first"):
        Softnet(softnet_program, lab.host, place, "--expose", "127.0.0.1:4022:22")
    assert vm.end()[0] == 0


def test_as_tart_starts_it(softnet_program, lab, dns, place):
    """Its command line, the VM as standard input, the control channel as standard output, and standard error closed: none
    of its own files gets that number, into which a message would be written."""
    (place / "softnet").mkdir(mode=0o700)
    with contextlib.ExitStack() as stack:
        vm, vm_end = map(stack.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        control, control_end = map(stack.enter_context, socket.socketpair())
        process = lab.host.popen(
            softnet_program, "--vm-fd", "0", "--vm-mac-address", MAC, "--vm-net-type", "nat", "--bootpd-lease-time", "600",
            "--group", "daemon", "--allow", "192.168.0.0/16,@host", "--block", "10.0.0.0/8", "--control-fd", "1",
            "--state-directory", place, "--runtime-directory", place / "softnet", stdin=vm_end, stdout=control_end,
            preexec_fn=lambda: os.close(2))
        vm_end.close()
        control_end.close()
        control.settimeout(120)
        control.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "softnet.policy.get"}\n')
        assert b'"block":["10.0.0.0/8"]' in control.recv(65536)
        [engine] = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        for pid in process.pid, engine:
            assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"
        status = status_of(engine)
        assert (status["Uid"][0], status["Gid"][0]) == (str(NOBODY), str(grp.getgrnam("daemon").gr_gid))
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0


@pytest.mark.parametrize("kind", ["connected", "listening"])
def test_vhost_user(softnet_program, lab, dns, place, kind):
    """Either kind of socket is answered, in the sandbox, and by the protocol."""
    with contextlib.ExitStack() as stack:
        if kind == "connected":
            vm, theirs = map(stack.enter_context, socket.socketpair())
        else:
            vm, theirs = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
            theirs.bind(str(place / "vm"))
            theirs.listen(1)
            vm.connect(str(place / "vm"))
        process = lab.host.popen(softnet_program, "--vm-fd", theirs.fileno(), "--vm-mac-address", MAC, "--attach",
                                 "vhost-user", "--state-directory", place, pass_fds=[theirs.fileno()])
        theirs.close()
        vm.settimeout(120)
        vm.sendall(struct.pack("=III", 1, 1, 0))  # VHOST_USER_GET_FEATURES, version 1
        request, flags, size = struct.unpack("=III", vm.recv(12, socket.MSG_WAITALL))
        assert (request, flags, size) == (1, 5, 8)
        vm.close()
        if kind == "listening":  # the next VM may come
            process.terminate()
        assert process.wait(120) == 0


# --- two processes ------------------------------------------------------------------------------------

NOBODY = 65534


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: value.split() for name, value in (line.split(":", 1) for line in lines)}


@pytest.fixture(params=["root", "ordinary user"])
def wrapper(request):
    """Who starts it."""
    if request.param == "root":
        return ()
    return ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")


@pytest.fixture
def owned(wrapper, place):
    """Where it keeps its records is that user's."""
    if wrapper:
        (place / "softnet").mkdir(mode=0o700)
        for path in place, place / "softnet":
            os.chown(path, NOBODY, NOBODY)


@pytest.mark.usefixtures("owned")
def test_the_engine_has_nothing(softnet, wrapper):
    """The process that sees the VM's bytes: nobody, in namespaces of its own, without a file or a right."""
    vm = softnet("--sandbox", "strict", wrapper=wrapper)
    vm.lease()
    engine = vm.engine()
    for pid in vm.process.pid, engine:
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    status = status_of(engine)
    assert status["Uid"] == [str(NOBODY)] * 4 and status["Gid"] == [str(NOBODY)] * 4
    assert {status[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == ["1"]
    assert len(status["NSpid"]) == 2 and status["NSpid"][1] == "1"
    for kind in "user", "mnt", "ipc", "uts", "pid":
        assert os.readlink(f"/proc/{engine}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    assert not os.listdir(f"/proc/{engine}/root") and os.readlink(f"/proc/{engine}/cwd") == "/"
    assert vm.end() == (0, "")


@pytest.fixture
def no_ping(lab):
    lab.host.sysctl("net.ipv4.ping_group_range", "1 0")
    yield
    lab.host.sysctl("net.ipv4.ping_group_range", "0 2147483647")


@pytest.mark.usefixtures("owned", "no_ping")
def test_no_ping_is_said_once(softnet, wrapper):
    """At the start, as a network in tartlet's own process does: by root, too, whose engine may no more than nobody. Not
    again when the VM pings, and not where there is no outside."""
    vm = softnet("--allow", "0.0.0.0/0", "--label", "gannet", wrapper=wrapper)
    assert select.select([vm.process.stderr], [], [], 60)[0]
    said = os.read(vm.process.stderr.fileno(), 4096).decode()
    assert said.startswith("gannet: host: ping is not allowed here") and "net.ipv4.ping_group_range" in said
    assert said.count("\n") == 1
    vm.lease()
    for sequence in range(3):
        vm.send(vm.ip(topology.SERVER) / ICMP(type=8, id=sequence, seq=1) / Raw(b"x" * 32))
    vm.settle()
    assert vm.end() == (0, "")
    vm = softnet("--vm-net-type", "host", wrapper=wrapper)
    vm.lease()
    assert vm.end() == (0, "")


def test_nohup(softnet):
    """Started with SIGHUP ignored, neither of the two processes listens to it."""
    vm = softnet(wrapper=("sh", "-c", "trap '' HUP; exec \"$@\"", "sh"))
    hangup = 1 << (signal.SIGHUP - 1)
    for pid in vm.process.pid, vm.engine():
        status = status_of(pid)
        assert int(status["SigIgn"][0], 16) & hangup
        assert not (int(status["SigCgt"][0], 16) | int(status["SigBlk"][0], 16)) & hangup
    assert vm.end() == (0, "")


def test_resolvers_are_followed(softnet, lab):
    """The engine cannot read resolv.conf; the other process does."""
    vm = softnet()
    vm.lease()
    question = bytes.fromhex("000701000001000000000000") + b"\x03www\x04test\x00\x00\x01\x00\x01"

    def ask():
        vm.udp(vm.gateway, 53, question, source_port=5000)
        answer = vm.receive(lambda frame: frame.haslayer("UDP") and frame["UDP"].sport == 53)
        return bytes(answer["UDP"].payload)

    assert b"\xc6\x33\x64\x50" in ask()  # 198.51.100.80
    former = (lab.host.etc / "resolv.conf").read_text(encoding="ascii")
    lab.host.etc_file("resolv.conf", f"nameserver {topology.SERVER}\n")
    try:
        with contextlib.closing(lab.server.socket(socket.AF_INET, socket.SOCK_DGRAM)) as resolver:
            resolver.bind((topology.SERVER, 53))

            def asked():
                """Files are looked at once in 100 ms: the first question may still go to the former one."""
                vm.udp(vm.gateway, 53, question, source_port=5001)
                return select.select([resolver], [], [], 0)[0]

            waiting.until(asked, 30, "a question at the new resolver")
            assert b"\x03www\x04test" in resolver.recv(512)
    finally:
        lab.host.etc_file("resolv.conf", former)


@pytest.fixture
def private(lab):
    """A private address that the world has, until it is a network's here."""
    address, way = "10.77.9.2", "10.77.9.0/24 via 198.51.100.2"
    lab.server.ip(f"address add {address}/32 dev lo")
    lab.router_a.ip(f"route add {way}")
    yield address
    lab.router_a.ip(f"route del {way}")
    lab.server.ip(f"address del {address}/32 dev lo")


def test_networks_that_come_and_go_are_seen(softnet, lab, private):
    """A rule allows the address; while another network of this host has it, it is closed all the same."""
    ports = itertools.count(2000)
    with servers.TcpEcho(lab.server) as echo:
        vm = softnet("--allow", f"{private}/32")
        vm.lease()
        # an address of which the informant cannot tell in time is closed, too
        waiting.until(lambda: vm.tcp(private, echo.port, next(ports)) == "SA", 120, "it is reached")
        other = softnet("--subnet", "10.77.9.0/24")
        waiting.until(lambda: vm.tcp(private, echo.port, next(ports)) == "RA", 120, "it is closed")
        peers = len(echo.peers)
        assert vm.tcp(private, echo.port, next(ports)) == "RA" and len(echo.peers) == peers
        assert other.end() == (0, "")
        waiting.until(lambda: vm.tcp(private, echo.port, next(ports)) == "SA", 120, "it is reached again")
    assert vm.end() == (0, "")


def test_nothing_is_left(softnet, place):
    """Neither of an end in order nor of a killed engine."""
    vm = softnet("--expose", "0:22")
    before = sorted(path.name for path in (place / "softnet").iterdir())
    assert vm.end() == (0, "")
    after = sorted(path.name for path in (place / "softnet").iterdir())
    assert len(after) < len(before)
    vm = softnet("--expose", "0:22")
    os.kill(vm.engine(), signal.SIGKILL)
    assert vm.process.wait(30) == 1
    assert vm.end()[1] == "the network's process was ended by signal 9 (Killed)\n"
    assert sorted(path.name for path in (place / "softnet").iterdir()) == after


def test_engine_dies_with_its_keeper(softnet):
    vm = softnet()
    engine = os.pidfd_open(vm.engine())
    vm.process.kill()
    ready = select.select([engine], [], [], 30)[0]
    os.close(engine)
    assert ready


def test_stopped_engine_is_ended(softnet, place):
    """Within the time that is given to an end in order, and with nothing left."""
    vm = softnet("--expose", "0:22")
    engine = vm.engine()
    os.kill(engine, signal.SIGSTOP)
    vm.process.terminate()
    vm.process.terminate()  # once more is no more time, and no less
    assert vm.end() == (1, "the network's process did not end within 8 s and was killed\n")
    assert not os.path.exists(f"/proc/{engine}")
    again = softnet("--expose", "0:22")  # takes the place of what the killed one held
    assert again.end() == (0, "")


SO_PASSRIGHTS = 83


@pytest.mark.parametrize("kind", ["datagram", "stream"])
def test_no_descriptor_is_taken(softnet, kind):
    """Whoever sends one would choose how long its close() takes."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS)
    except OSError:
        pytest.skip("the kernel is older than 6.16")
    vm = softnet(attach=kind)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 0))]
    for channel in vm.vm.socket, vm.control:
        with pytest.raises(PermissionError):
            channel.sendmsg([b"{"], rights)
    assert vm.ask("softnet.policy.get")["result"]["ruleCount"] == 0
    vm.lease()
    assert vm.end() == (0, "")
