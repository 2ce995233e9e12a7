"""Rules that change ten times a second under load: what is allowed loses nothing, what is blocked never passes.

The guest is a namespace with a real network stack, by a TAP and softnet's stream attachment (lab/tap_bridge.py). It
sends 2,000 numbered datagrams a second, which are echoed, and three TCP streams; both are allowed by every policy,
each time in other words. It sends to two ports that no policy allows, and to one that every other policy does: what was
sent after the answer to a change for the worse must not arrive before the next one is asked for. Losses of others than softnet are counted where they
happen, and told apart: in the receivers' buffers, in the guest's device, and in the kernel's queues.
"""

import bisect
import json
import pathlib
import random
import socket
import subprocess
import time

import pytest
from lab import netns, topology
from lab.softnet import MAC

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
EVERY = 0.1
SNDBUFFORCE = 32
RCVBUFFORCE = 33


@pytest.fixture
def guest(lab):
    """A namespace with no network yet."""
    made = netns.Namespace("soak-guest")
    made.create()
    made.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    made.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    yield made
    made.destroy()


def connect(guest, vm, stream):
    """The guest's card, with the address that DHCP would offer."""
    bridge = guest.popen(PYTHON, HERE / "lab/tap_bridge.py", "eth0", MAC, stream.fileno(), pass_fds=[stream.fileno()],
                         stdout=subprocess.PIPE, text=True)
    stream.close()
    assert bridge.stdout.readline() == "ready\n"
    guest.ip(f"address add {vm.address}/30 dev eth0")
    guest.ip(f"route add default via {vm.gateway}")
    return bridge


class Load:
    """One side of the load, in a namespace."""

    def __init__(self, namespace, *arguments):
        self.process = namespace.popen(PYTHON, HERE / "lab/soak_load.py", *arguments, text=True, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
        self.first = self.process.stdout.readline()
        assert self.first, "it did not start"

    def finish(self):
        """Its sums."""
        said = self.process.communicate(timeout=60)[0]
        assert self.process.returncode == 0
        return json.loads(said)


# --- rules ------------------------------------------------------------------------------------------------


def by_ports(ports, some):
    wanted = [ports["open_udp"], ports["open_tcp"], *([ports["some_udp"]] if some else [])]
    return [f"{topology.SERVER}/32:{port}" for port in wanted], ["0.0.0.0/0"]


def by_address(ports, some):
    closed = [ports["closed_udp"], ports["closed_tcp"], *([] if some else [ports["some_udp"]])]
    return [f"{topology.SERVER}/32"], [f"{topology.SERVER}/24:{port}" for port in closed]


def by_direction(ports, some):
    allow, _ = by_ports(ports, some)
    return [f"out {rule}" for rule in allow], ["in 0.0.0.0/0", f"out {topology.SERVER}/24"]


def by_prefix(ports, some):
    closed = [ports["closed_udp"], ports["closed_tcp"], *([] if some else [ports["some_udp"]])]
    return [f"{topology.SERVER}/31", "198.51.100.128/25"], [f"198.51.100.0/24:{port}" for port in closed] + \
        ["198.51.100.0/25"]


def others(chance):
    """Rules about what nobody does."""
    return [f"{chance.choice(['', 'out '])}10.{chance.randrange(256)}.{chance.randrange(256)}.0/24"
            f"{chance.choice(['', ':80', ':1-1024'])}" for _ in range(chance.randrange(100))]


class Changes:
    """Another policy each time, and when the port that is open sometimes was closed for sure."""

    def __init__(self, vm, ports):
        self.vm = vm
        self.ports = ports
        self.chance = random.Random(5)
        self.count = 0
        self.closed = []  # from, to: both in ns

    def change(self):
        some = self.count % 2 == 1
        allow, block = self.chance.choice([by_ports, by_address, by_direction, by_prefix])(self.ports, some)
        before = time.monotonic_ns()
        answer = self.vm.ask("softnet.policy.set", allow=allow + others(self.chance), block=block + others(self.chance),
                             desiredRevision=str(self.count))
        assert "result" in answer, answer
        if some and self.closed:
            self.closed[-1][1] = before
        elif not some:
            self.closed.append([time.monotonic_ns(), None])
        self.count += 1

    def go_on(self, seconds):
        end = time.monotonic() + seconds
        due = time.monotonic()
        while due < end:
            time.sleep(max(0, due - time.monotonic()))
            self.change()
            due = max(due + EVERY, time.monotonic())

    def was_closed(self, sent, received):
        """Whether it was all that time. What is received later may have waited for the next change on its way."""
        index = bisect.bisect_right([start for start, _ in self.closed], sent) - 1
        return index >= 0 and (self.closed[index][1] is None or received < self.closed[index][1])


# --- who else may lose something ------------------------------------------------------------------------------


def device_losses(namespace):
    links = json.loads(namespace.run("ip", "-s", "-j", "link").stdout)
    return sum(link["stats64"][way]["dropped"] for link in links for way in ("rx", "tx"))


def udp_losses(namespace):
    """Datagrams for which a receiver in the namespace had no room."""
    names, values = [line.split() for line in namespace.run("cat", "/proc/net/snmp").stdout.splitlines()
                     if line.startswith("Udp:")]
    return int(values[names.index("RcvbufErrors")])


def queue_losses():
    """Frames that the kernel's queues between devices had no room for, of all namespaces."""
    return sum(int(line.split()[1], 16) for line in pathlib.Path("/proc/net/softnet_stat").read_text().splitlines())


def all_losses(lab, guest):
    namespaces = [lab.host, lab.router_a, lab.server, guest]
    return {"devices": sum(map(device_losses, namespaces)), "receivers": sum(map(udp_losses, namespaces)),
            "queues": queue_losses()}


@pytest.mark.parametrize("seconds", [30, pytest.param(600, marks=pytest.mark.soak)])
def test_rules_change_under_load(softnet, lab, guest, seconds):
    theirs, stream = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in theirs, stream:
        end.setsockopt(socket.SOL_SOCKET, SNDBUFFORCE, 8 << 20)
        end.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 8 << 20)
    vm = softnet(attach="stream", vm_end=theirs)
    bridge = connect(guest, vm, stream)
    server = Load(lab.server, "server", topology.SERVER)
    ports = json.loads(server.first)
    changes = Changes(vm, ports)
    changes.change()
    losses = all_losses(lab, guest)
    client = Load(guest, "client", topology.SERVER, json.dumps(ports))
    # What it needs is there after a while; from then on it needs no more.
    changes.go_on(seconds / 5)
    memory, descriptors = vm.memory(), vm.descriptors()
    changes.go_on(seconds - seconds / 5)
    grown, opened = vm.memory() - memory, vm.descriptors() - descriptors
    sent = client.finish()
    arrived = server.finish()
    lost = {name: count - losses[name] for name, count in all_losses(lab, guest).items()}
    assert vm.end() == (0, "")
    assert bridge.wait(30) == 0

    # By others: no more may be missing than they have lost.
    elsewhere = sum(lost.values())
    up, down = sent["sent"]["open_udp"] - arrived["open_udp"]["count"], \
        arrived["open_udp"]["count"] - sent["echoes"]["count"]
    report = f"{changes.count} changes, {sent['sent']}, lost {up} up, {down} down, elsewhere {lost}, {sent['attempts']}"
    print(report)
    assert up + down <= elsewhere, report
    assert arrived["open_udp"]["twice"] == sent["echoes"]["twice"] == 0
    for one in sent["streams"]:
        assert one["problem"] is None and one["ended"] and one["received"] == one["sent"] > 0, one
    assert arrived["closed_udp"]["count"] == arrived["accepted"].get("closed", 0) == 0
    assert set(sent["attempts"]) <= {"ECONNREFUSED", "EINPROGRESS", "ENOTCONN"} and sent["attempts"]["ECONNREFUSED"] > 0
    assert not [times for times in arrived["passed"] if changes.was_closed(*times)]
    # And it was a load, and there were changes.
    assert arrived["passed"] and changes.count > seconds * 3 and sent["sent"]["open_udp"] > seconds * 500, report
    assert grown < 4 << 20 and abs(opened) <= 4, f"{grown} bytes, {opened} descriptors"
