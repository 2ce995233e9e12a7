"""Rules (--net-vmnet-allow, --net-vmnet-block): whom a guest reaches, who reaches it, and what it may claim to be.

The server's addresses are for documentation, so a guest under rules reaches none of them by default.
"""

import contextlib
import pathlib
import socket
import subprocess

import pytest
from lab import servers, topology

PYTHON = "/usr/bin/python3"
HERE = pathlib.Path(__file__).resolve().parent

# Tries each ADDRESS:PORT, and says what became of it.
TRY = """import socket, sys
for target in sys.argv[1:]:
    kind, address, port = target.split("/")
    try:
        if kind == "tcp":
            connection = socket.create_connection((address, int(port)), timeout=60)
            connection.sendall(b"hello")
            got = connection.recv(100)
        else:
            datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            datagram.settimeout(60)
            datagram.connect((address, int(port)))
            datagram.send(b"hello")
            got = datagram.recv(100)
        print("reached" if got == b"hello" else f"got {got}")
    except OSError as problem:
        print(type(problem).__name__)
"""


@pytest.fixture(scope="module")
def rooted(homes):
    return homes.tartlet()


def tried(tartlet, options, targets):
    """What a guest with these options says of each target."""
    done = tartlet.command("netns", *options, "--", PYTHON, "-c", TRY, *targets)
    return done.stdout.split()


@pytest.fixture(scope="module")
def echo(lab):
    with servers.TcpEcho(lab.server) as tcp, servers.TcpEcho(lab.server) as other, servers.UdpEcho(lab.server) as udp:
        yield tcp.port, other.port, udp.port


REFUSED = "ConnectionRefusedError"
PROHIBITED = "OSError"  # EHOSTUNREACH, from ICMP's "administratively prohibited"


def test_default(rooted, echo):
    """One rule that fits nothing: what is not global is closed, and the gateway answers."""
    tcp, _, udp = echo
    options = ["--net-vmnet-block", "192.0.2.77/32"]
    assert tried(rooted, options, [f"tcp/{topology.SERVER}/{tcp}", f"udp/{topology.SERVER}/{udp}"]) == \
        [REFUSED, PROHIBITED]
    done = rooted.command("netns", *options, "--", "getent", "ahostsv4", "www.test")
    assert done.stdout.startswith("198.51.100.80 ")


def test_one_port(rooted, echo):
    """A port is opened through a block, for the one protocol as for the other."""
    tcp, other, udp = echo
    options = ["--net-vmnet-allow", f"{topology.SERVER}/32:{tcp},{topology.SERVER}/32:{udp}",
               "--net-vmnet-block", "0.0.0.0/0"]
    assert tried(rooted, options, [f"tcp/{topology.SERVER}/{tcp}", f"udp/{topology.SERVER}/{udp}",
                                   f"tcp/{topology.SERVER}/{other}", f"tcp/198.51.100.130/{tcp}"]) == \
        ["reached", "reached", REFUSED, REFUSED]


def test_directions(rooted, echo, lab):
    """`in` lets the one client in, and nobody else; `out` is for itself."""
    tcp, _, _ = echo
    options = ["--net-vmnet-expose", "0:80", "--net-vmnet-allow", f"in {topology.SERVER}/32",
               "--net-vmnet-block", "0.0.0.0/0"]
    serve = ("import socket\nlistener = socket.create_server((\"\", 80))\nprint(\"ready\", flush=True)\n"
             "while True:\n    listener.accept()[0].sendall(b\"hello\")")
    argv = rooted.argv("netns", *options, "--", PYTHON, "-c", serve)
    with subprocess.Popen(argv, env=rooted.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            port = None
            while port is None:
                line = process.stderr.readline()
                assert line, "it ended"
                if line.startswith("forward: "):
                    port = int(line.split(" -> ")[0].rsplit(":", 1)[1])
            assert process.stdout.readline() == "ready\n"
            with contextlib.closing(lab.server.connect(topology.HOST, port)) as admitted:
                assert admitted.recv(100) == b"hello"
            for stranger, address in (lab.host, "127.0.0.1"), (lab.router_a, topology.HOST):
                with pytest.raises(ConnectionResetError):  # by connect() or by recv(), as it comes
                    with contextlib.closing(stranger.connect(address, port)) as refused:
                        refused.recv(100)
        finally:
            process.kill()
    assert tried(rooted, options, [f"tcp/{topology.SERVER}/{tcp}"]) == [REFUSED]


def test_host(rooted, lab):
    """@host opens what listens on the host's LAN address; a block closes the gateway, but not its DNS."""
    with servers.TcpEcho(lab.host, topology.HOST) as local:
        target = f"tcp/{topology.HOST}/{local.port}"
        assert tried(rooted, ["--net-vmnet-block", "192.0.2.77/32"], [target]) == [REFUSED]
        allow = ["--net-vmnet-allow", f"@host,{topology.HOST}/32"]
        assert tried(rooted, allow, [target]) == ["reached"]
        with servers.TcpEcho(lab.host, topology.HOST) as other:
            both = [target, f"tcp/{topology.HOST}/{other.port}"]
            allow = ["--net-vmnet-allow", f"@host:{local.port},{topology.HOST}/32"]
            assert tried(rooted, allow, both) == ["reached", REFUSED]
            block = ["--net-host-access", "lan", "--net-vmnet-allow", f"{topology.HOST}/32", "--net-vmnet-block",
                     f"@host:{local.port}"]
            assert tried(rooted, block, both) == [REFUSED, "reached"]
    done = rooted.command("netns", "--net-vmnet-block", "0.0.0.0/0", "--", "sh", "-c",
                          "getent ahostsv4 www.test; gateway=$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'); "
                          "ping -c 1 -W 2 $gateway >/dev/null || echo closed")
    assert done.stdout.startswith("198.51.100.80 ") and done.stdout.endswith("closed\n")
    done = rooted.command("netns", "--net-vmnet-block", "@host", "--", "sh", "-c",
                          "getent ahostsv4 www.test || echo no")
    assert done.stdout == "no\n"


@pytest.mark.parametrize("option, rules, said", [
    ("allow", "10.0.0.1", 'invalid rule "10.0.0.1": expected'),
    ("block", "@host,from @host", 'invalid rule "from @host": expected'),
    ("allow", "10.0.0.0/8:90-80", 'invalid rule "10.0.0.0/8:90-80": a port is 1 to 65535'),
    ("block", "10.0.0.0/33", 'invalid rule "10.0.0.0/33": a prefix is ADDRESS/LENGTH'),
    ("block", "", 'invalid rule "": expected'),
    ("allow", "@hosts", 'invalid rule "@hosts": the only name is @host'),
])
def test_bad_rules(rooted, option, rules, said):
    done = rooted.command("netns", f"--net-vmnet-{option}", rules, "--", "true", expect=64)
    assert said in done.stderr


# --- what a guest may claim to be ---------------------------------------------------------------------

# One lie after the other onto the wire, each marked (lab/lies.py); at the end the truth.
LIES = """import sys
sys.path.insert(0, sys.argv[3])
from lab.lies import Guest, lies
from scapy.all import ARP, IP, Ether, Raw, UDP, conf, get_if_addr, get_if_hwaddr, sendp, srp1
conf.verb = 0
gateway = conf.route.route("0.0.0.0")[2]
reply = srp1(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=gateway), iface="eth0", timeout=60)
guest = Guest(get_if_hwaddr("eth0"), get_if_addr("eth0"), gateway, reply.hwsrc, sys.argv[1], int(sys.argv[2]))
frames = [frame for _, several in lies(guest) for frame in several]
wire = conf.L2socket(iface="eth0")
for frame in frames:
    wire.send(frame)
for name in "first", "second":
    sendp(guest.way() / guest.ip() / UDP(sport=1000, dport=guest.port) / Raw(f"TRUTH {name} {len(frames)}".encode()),
          iface="eth0")
"""


def test_no_lie_arrives(rooted, lab):
    """Sent as raw frames by a program in the guest, and looked for on the wire behind the host."""
    with contextlib.closing(lab.host.socket(socket.AF_PACKET, socket.SOCK_RAW)) as wire, \
            contextlib.closing(lab.server.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sink:
        sink.bind((topology.SERVER, 0))
        sink.settimeout(100)
        with lab.host.entered():
            wire.bind(("a0", 0x0003))
        port = sink.getsockname()[1]
        rooted.command("netns", "--net-vmnet-allow", f"{topology.SERVER}/32,2001:db8:5::/64,224.0.0.0/4", "--",
                       PYTHON, "-c", LIES, topology.SERVER, port, HERE, timeout=60)
        assert sink.recv(100).startswith(b"TRUTH first")
        assert sink.recv(100).startswith(b"TRUTH second")
        seen = b""
        wire.settimeout(100)
        while b"TRUTH second" not in seen:
            seen += wire.recv(65536)
        assert b"LIE" not in seen

