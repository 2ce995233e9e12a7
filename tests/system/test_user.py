"""The same as an ordinary user. What that user cannot do is said in a sentence: ports below 1024, and
ping where net.ipv4.ping_group_range forbids it."""

import hashlib
import ipaddress
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest
from lab import pattern, servers, topology
from lab.guest import answers
from lab.tartlet import EXPOSE, qemu_pids, wait_gone
from lab.waiting import until

from test_client import seen
from test_outbound import hops
from test_reboot import is_new
from test_route_swap import first_answer, swapped_back  # noqa: F401 (a fixture)

BYTES = 100_000_000


@pytest.fixture(scope="module")
def user(homes, person):
    return homes.tartlet(person)


@pytest.fixture(scope="module")
def user_vm(user, guest):
    user.create("rootless", guest)
    running = user.run("rootless", "--net-vmnet", expose=EXPOSE)
    running.up()
    yield running
    running.end()


@pytest.fixture
def user_agent(user_vm):
    return user_vm.agent()


def test_no_process_is_root(user_vm, person):
    for pid in user_vm.pids():
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        uids = re.search(r"^Uid:\s+(.*)$", status, re.MULTILINE).group(1).split()
        assert set(uids) == {str(person.uid)}
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)


def test_address(user, user_vm, user_agent):
    assert user_agent.lease()["address"] == user_vm.address
    assert user.command("ip", "rootless").stdout.strip() == user_vm.address


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", topology.HOST])
def test_tcp_forward(lab, user_vm, address):
    host = f"[{address}]" if ":" in address else address
    page = lab.host.run("curl", "-sS", "--max-time", "100", f"http://{host}:{user_vm.port(80)}/").stdout
    assert "This is rootless" in page


@pytest.mark.parametrize("address", [topology.HOST, topology.HOST_SECOND, topology.HOST6])
def test_udp_forward(lab, user_vm, address):
    """From another machine: the host's routes alone would have an answer leave by another address."""
    port = user_vm.port(53, "udp")
    assert answers(lab.server, address, port) == (b"hello", (address, port))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_clients_address_is_kept(lab, user_vm, kind):
    told, told_port, own_port = seen(lab.server, user_vm, kind, topology.SERVER, topology.HOST)
    assert (told, told_port) == (topology.SERVER, own_port)


def test_download(lab, user_vm):
    count = 20_000_000
    with subprocess.Popen(lab.server.argv("curl", "-sS", "--max-time", "150",
                                          f"http://{topology.HOST}:{user_vm.port(80)}/cgi-bin/big?{count}"),
                          stdout=subprocess.PIPE) as client:
        assert hashlib.file_digest(client.stdout, "sha256").hexdigest() == pattern.sha256(count)


def test_100_mb_down(lab, user_agent):
    with servers.Source(lab.server, BYTES) as source:
        said = user_agent.run(f"tcp-ask {topology.SERVER} {source.port} </dev/null | sha256sum")
    assert said.split()[0] == pattern.sha256(BYTES)


def test_100_mb_up(lab, user_agent):
    with servers.Sink(lab.server) as sink:
        said = user_agent.run(f"pattern {BYTES} | tcp-ask {topology.SERVER} {sink.port}")
    assert said == f"{BYTES} {pattern.sha256(BYTES)}"


def test_udp_out(lab, user_agent):
    with servers.UdpEcho(lab.server) as echo:
        user_agent.run(f"udp-ask {topology.SERVER} {echo.port} 1000")


@pytest.mark.parametrize("kind", ["", "-I"])
def test_ping_and_traceroute(user_agent, kind):
    """The namespace's ping_group_range lets this user ping (lab/topology.py)."""
    assert "2 packets received" in user_agent.run(f"ping -c 2 -i 0.2 -W 30 {topology.SERVER}")
    said = user_agent.run(f"traceroute {kind} -n -q 1 -w 30 -m 5 {topology.SERVER}")
    assert hops(said) == [user_agent.lease()["routers"], topology.ROUTER_A, topology.SERVER]


@pytest.mark.parametrize("way", ["+notcp", "+tcp"])
def test_names(user_agent, way):
    gateway = user_agent.lease()["routers"]
    assert user_agent.run(f"dig @{gateway} {way} +short www.test A") == "198.51.100.80"


def test_forward_live(lab, user, user_vm):
    user.command("forward", "add", "rootless", "24007:7")
    with lab.host.connect("127.0.0.1", 24007) as connection:
        connection.sendall(b"x\n")
        assert connection.recv(10) == b"x\n"
    user.command("forward", "remove", "rootless", "24007:7")
    with pytest.raises(ConnectionRefusedError):
        lab.host.connect("127.0.0.1", 24007)


def test_upload(lab, user_vm):
    """From a host to the guest, through the forward to its TCP echo."""
    with lab.host.connect("127.0.0.1", user_vm.port(7)) as connection:
        connection.sendall(b"x" * 99_999 + b"\n")
        got = b""
        while len(got) < 100_000:
            got += connection.recv(65536)
    assert got == b"x" * 99_999 + b"\n"


def test_port_taken(user, user_vm, guest):
    user.create("late", guest)
    done = user.command("run", "late", "--net-vmnet-expose", f"{user_vm.port(22)}:22", expect=1)
    assert re.search(rf'TCP port {user_vm.port(22)} on \S+ is in use by VM "rootless"', done.stderr)
    user.command("delete", "late")


def test_new_default_route(lab, user_agent, swapped_back):
    with servers.Greeter(lab.server) as greeter:
        assert first_answer(user_agent, greeter.port) == topology.HOST
        lab.default_by_b()
        assert first_answer(user_agent, greeter.port) == topology.HOST_B


def test_two_with_the_same_first_candidate(homes, person, user, user_vm):
    """As test_two_vms.py: the same name and MAC in a home of its own."""
    other = homes.tartlet(person, runtime=user.environment["XDG_RUNTIME_DIR"])
    shutil.copytree(user.home / "vms" / "rootless", other.home / "vms" / "rootless",
                    ignore=lambda directory, names: [name for name in names if name == "run.json"
                                                     or name.endswith(".sock")])
    for path in [other.home / "vms", *(other.home / "vms").rglob("*")]:
        os.chown(path, person.uid, person.gid)
    twin = other.run("rootless", expose=["0:2"])
    try:
        one, two = (ipaddress.ip_network(vm.fact("subnet")) for vm in (user_vm, twin))
        assert not one.overlaps(two)
        assert twin.up().lease()["address"] == twin.address
        assert user_vm.agent().lease()["address"] == user_vm.address
    finally:
        twin.end()


def test_low_port_is_said(lab, user, user_vm, guest):
    lab.host.sysctl("net.ipv4.ip_unprivileged_port_start", 1024)
    user.create("low", guest)
    done = user.command("run", "low", "--net-vmnet-expose", "80:80", expect=1)
    assert "80" in done.stderr and "1024" in done.stderr
    user.command("delete", "low")


def test_no_ping_is_said_at_start(lab, user, guest):
    """Where the sysctl forbids ping sockets, one line says so, whichever process has the network, and the rest works."""
    def said(running):
        return running.output.count("mute: host: ping is not allowed here")

    lab.host.sysctl("net.ipv4.ping_group_range", "1 0")
    try:
        user.create("mute", guest)
        running = user.run("mute", expose=["0:2"])
        try:
            assert said(running) == 1 and "ping_group_range" in running.output
            agent = running.up()
            agent.run(f"ping -c 1 -W 1 {topology.SERVER} || true")
            assert agent.run("echo up") == "up" and said(running) == 1
        finally:
            running.end()
        running = user.run("mute", "--net-softnet", expose=[])
        try:
            assert said(running) == 1
        finally:
            running.end()
    finally:
        lab.host.sysctl("net.ipv4.ping_group_range", "0 2147483647")
    user.command("delete", "mute")


def test_home_that_cannot_be_written(user, homes, person, guest):
    other = homes.tartlet(person)
    other.home.chmod(0o500)
    try:
        done = other.command("create", "x", "--kernel", guest["vmlinux"], "--initrd", guest["initrd"],
                             expect=1)
        assert str(other.home) in done.stderr
    finally:
        other.home.chmod(0o700)


def test_reboot(lab, user_vm):
    """Near the end: it ends what runs in the guest. As test_reboot.py."""
    agent = user_vm.agent()
    agent.run("touch /tmp/before")
    before = agent.lease(), qemu_pids(user_vm.pids())
    agent.tell("reboot")
    until(lambda: is_new(user_vm), 240, "the guest after its reboot")
    assert (user_vm.agent().lease(), qemu_pids(user_vm.pids())) == before
    port = user_vm.port(53, "udp")
    assert answers(lab.server, topology.HOST, port) == (b"hello", (topology.HOST, port))


def test_kill_and_run_again(lab, user, guest):
    """The last one: as test_kill.py, as this user."""
    specs = ["24002:2", "24053:53/udp"]
    user.create("mayfly", guest)
    first = user.run("mayfly", expose=specs)
    pids = first.pids()
    assert len(qemu_pids(pids)) == 1
    first.kill()
    wait_gone(pids)
    with lab.host.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("0.0.0.0", 24002))
    again = user.run("mayfly", expose=specs)
    try:
        assert again.up().lease()["address"] == first.address
    finally:
        again.end()
