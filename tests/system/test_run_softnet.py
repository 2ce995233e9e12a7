"""`tartlet run --net-softnet`: a real guest whose network is in the sidecar, by both ways of attaching it, as root and as
an ordinary user."""

import contextlib
import json
import os
import shutil
import signal
import socket

import pytest
from lab import servers, topology
from lab.tartlet import qemu_pids, wait_gone
from lab.waiting import until

NAME = "gannet"
HOSTNAME = "morus"
EXPOSE = ["0:2", "0:11", "0:22"]
GONE = "Softnet process terminated prematurely"


def holders(pids, inode):
    """Those of the processes that have a socket."""
    return [pid for pid in pids if any(os.stat(f"/proc/{pid}/fd/{fd}").st_ino == inode
                                       for fd in os.listdir(f"/proc/{pid}/fd") if os.path.exists(f"/proc/{pid}/fd/{fd}"))]


def sidecars(pids):
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/exe").endswith("/softnet"):
                found.append(pid)
    return found


class Gannet:
    """The VM of these tests, and the control channel of its rules."""

    def __init__(self, tartlet, attach):
        self.tartlet = tartlet
        self.attach = attach
        self.folder = tartlet.home / "vms" / NAME
        self.running = None
        self.control = None
        self.inode = 0  # of softnet's end of it

    def run(self, *options, kind="softnet"):
        self.close()
        passed = []
        if kind == "softnet":
            self.control, theirs = socket.socketpair()
            self.control.settimeout(120)
            passed = [theirs.fileno()]
            self.inode = os.fstat(theirs.fileno()).st_ino
            options += ("--net-softnet-control-fd", str(theirs.fileno()))
        try:
            self.running = self.tartlet.run(NAME, "--net-attach", self.attach, *options, expose=EXPOSE, kind=kind,
                                            pass_fds=passed)
        finally:
            if passed:
                theirs.close()
        return self.running

    def ask(self, method, **params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method} | ({"params": params} if params else {})
        self.control.sendall(json.dumps(request).encode() + b"\n")
        with contextlib.closing(self.control.makefile()) as stream:
            return json.loads(stream.readline())

    def rules(self, revision, allow, block=()):
        answer = self.ask("softnet.policy.set", allow=list(allow), block=list(block), desiredRevision=revision)
        assert "error" not in answer, answer

    def leftovers(self):
        return sorted(path.name for path in self.folder.iterdir() if path.name in ("net.sock", "run.json", "agent.sock"))

    def close(self):
        if self.control:
            self.control.close()
        self.control = None


@pytest.fixture(scope="module", params=["vhost-user", "stream"])
def gannet(request, homes, guest, person):
    tartlet = homes.tartlet(person if request.param == "vhost-user" else None)
    tartlet.create(NAME, guest)
    tartlet.command("set", NAME, "--hostname", HOSTNAME)
    made = Gannet(tartlet, request.param)
    made.run("--mtu", "1400", "--net-softnet-block", f"{topology.SERVER}/32:9", "--net-pcap", tartlet.home / "pcap")
    made.running.up()
    yield made
    made.running.end()
    made.close()


def reaches(agent, address, port):
    return agent.ask(f"tcp-ask {address} {port} 60 </dev/null 2>/dev/null")[0] == 0


def test_lease_and_facts(gannet):
    agent = gannet.running.up()
    lease = agent.lease()
    subnet = gannet.running.fact("subnet")
    assert (lease["address"], lease["prefix"]) == (gannet.running.address, subnet.split("/")[1])
    assert agent.run("hostname") == HOSTNAME
    assert HOSTNAME in agent.run(f"wget -qO- http://{lease['routers']}/seed/meta-data")
    assert gannet.running.fact("label") == NAME
    said = gannet.tartlet.json("get", NAME)
    assert (said["State"], said["Subnet"], said["Address"]) == ("running", subnet, lease["address"])
    assert {(forward["internalPort"], forward["externalPort"]) for forward in said["Forwards"]} == \
        {(forward.internal, forward.external) for forward in gannet.running.forwards}
    assert gannet.tartlet.command("ip", NAME).stdout == f"{lease['address']}\n"
    assert gannet.tartlet.command("ip", NAME, "--resolver", "agent").stdout == f"{lease['address']}\n"
    assert "--resolver dhcp" in gannet.tartlet.command("ip", NAME, "--resolver", "arp", expect=1).stderr
    assert gannet.tartlet.json("list")[0]["State"] == "running"
    until(lambda: (gannet.tartlet.home / "pcap").stat().st_size > 100, 60, "the capture has frames")
    pids = gannet.running.pids()
    assert {*holders(pids, gannet.inode)} & {*sidecars(pids)} == {*holders(pids, gannet.inode)} != set()


def test_rules_of_a_live_run(gannet, lab):
    """Closed without a rule, opened and closed again while a connection is under way."""
    agent = gannet.running.up()
    with servers.TcpEcho(lab.server) as echo, servers.Greeter(lab.server) as other:
        assert not reaches(agent, topology.SERVER, other.port) and not reaches(agent, topology.METADATA, other.port)
        gannet.rules("open", [f"{topology.SERVER}/32:{echo.port}", f"{topology.SERVER}/32:{other.port}"])
        assert reaches(agent, topology.SERVER, other.port)
        assert agent.run(f"echo over | busybox nc {topology.SERVER} {echo.port} -w 60") == "over"
        agent.run("rm -f /run/flow /run/in; mkfifo /run/in")
        agent.run(f"(busybox nc {topology.SERVER} {echo.port} </run/in >/run/flow; echo ended >>/run/flow) "
                  ">/dev/null 2>&1 & exec 3>/run/in; echo first >&3; setsid sleep 600 >&3 2>/dev/null </dev/null &")
        agent.run("until grep -q first /run/flow; do sleep 0.05; done")
        assert agent.run("cat /run/flow") == "first"
        gannet.rules("closed", [f"{topology.SERVER}/32:{other.port}"])
        agent.run("until grep -q ended /run/flow; do sleep 0.05; done")
        assert reaches(agent, topology.SERVER, other.port) and not reaches(agent, topology.SERVER, echo.port)
        assert gannet.ask("softnet.policy.get")["result"]["desiredRevision"] == "closed"


def test_exposed_ports(gannet, lab, guest_files):
    """From the LAN, and for tartlet's own commands, which have no other way in."""
    tartlet, running = gannet.tartlet, gannet.running
    with lab.router_a.connect(topology.HOST, running.port(11)) as client:
        assert client.recv(100).decode().split()[0] == topology.ROUTER_A
    key = tartlet.home / "key"
    shutil.copyfile(guest_files["ssh_key"], key)
    key.chmod(0o600)
    if tartlet.person:
        os.chown(key, tartlet.person.uid, tartlet.person.gid)
    done = tartlet.command("ssh", "-F", "none", "-i", key, "-l", "root", NAME, "hostname")
    assert done.stdout == f"{HOSTNAME}\n"
    assert tartlet.command("nc", NAME, "11").stdout.split()[0]
    refused = tartlet.command("nc", NAME, "80", expect=2).stderr
    assert "--net-softnet-expose 0:80" in refused and refused.count("\n") == 1
    assert tartlet.command("exec", NAME, "hostname").stdout == f"{HOSTNAME}\n"
    listed = tartlet.command("forward", "list", NAME).stdout.splitlines()
    assert listed == [line.removeprefix("forward: ") for line in running.output.splitlines() if line.startswith("forward: ")]
    for action in ["add", NAME, "0:80"], ["remove", NAME, str(running.port(22))]:
        refused = tartlet.command("forward", *action, expect=2).stderr
        assert "--net-softnet-expose" in refused and refused.count("\n") == 1


def test_suspended_and_resumed(gannet):
    """Also into the other kind of network and back: the guest is where it was."""
    agent = gannet.running.up()
    address = agent.lease()["address"]
    agent.run("echo kept >/run/kept")
    for kind in "vmnet", "softnet":
        gannet.tartlet.command("suspend", NAME)
        assert gannet.running.wait() == 0 and gannet.leftovers() == []
        gannet.run("--mtu", "1400", kind=kind)
        agent = gannet.running.up()
        assert agent.run("cat /run/kept") == "kept" and gannet.running.address == address
    assert gannet.tartlet.command("exec", NAME, "hostname").stdout == f"{HOSTNAME}\n"


def test_without_the_sidecar_the_run_ends(gannet):
    """Whichever of its processes is killed."""
    running = gannet.running
    pids = running.pids()
    os.kill(sidecars(pids)[0 if gannet.attach == "stream" else -1], signal.SIGKILL)
    assert running.wait() == 1
    assert running.output.splitlines().count(GONE) == 1
    wait_gone(pids)
    assert gannet.leftovers() == []


def test_the_address_is_that_of_every_network(gannet):
    """What --net-softnet had, --net-vmnet has, and again."""
    before = gannet.tartlet.json("get", NAME)["Address"]
    for kind in "vmnet", "softnet":
        running = gannet.run(kind=kind)
        assert running.address == before
        running.process.send_signal(signal.SIGINT)
        assert running.wait() == 0
        assert GONE not in running.output and gannet.leftovers() == []


def test_nothing_is_left_of_what_cannot_start(gannet, lab):
    tartlet = gannet.tartlet
    with servers.TcpEcho(lab.host) as taken:
        done = tartlet.command("run", NAME, "--net-softnet-expose", f"{taken.port}:22", expect=1)
    said = done.stderr.splitlines()[-2:]
    assert str(taken.port) in said[0] and said[1] == "softnet ended with exit status 1 before there was a network"
    assert gannet.leftovers() == []
    assert tartlet.json("get", NAME)["State"] == "stopped"


def test_it_dies_with_tartlet(gannet):
    running = gannet.run()
    pids = running.pids()
    assert qemu_pids(pids) and sidecars(pids)
    running.kill()
    wait_gone(pids)
