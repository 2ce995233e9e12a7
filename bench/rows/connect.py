"""Connections per second, each in namespaces that nothing has connected in before: sockets in TIME_WAIT
from an earlier row would make a later engine look many times slower."""

import process
import topology
from rows import iperf3
from rows.row import LESS, Group, Row


class Connect(Group):
    servers = ("rr", "connect")

    def __init__(self, parallel, quick=False):
        self.parallel = parallel
        self.quick = (f"connect-rate-{parallel}", f"connect-p99-{parallel}") if quick else ()
        self.name = f"connect-{parallel}"
        said = "one at a time" if parallel == 1 else f"{parallel} at a time"
        self.rows = [
            Row(f"connect-rate-{parallel}", "connect", f"connections, {said}", "1/s"),
            Row(f"connect-p99-{parallel}", "connect-time", f"connect to close, p99, {said}", "us", LESS),
            Row(f"connect-failed-{parallel}", "connect-failed", f"failed connections, {said}", "count", LESS),
        ]

    def measure(self, place):
        found = ask(place, place.topology.guest, topology.SERVER, topology.PORTS["connect"], self.parallel)
        yield f"connect-rate-{self.parallel}", found["per_second"]
        yield f"connect-p99-{self.parallel}", found["p99_us"]
        yield f"connect-failed-{self.parallel}", found["failed"]


def ask(place, namespace, address, port, parallel):
    """The figures of one bench-connect."""
    argv = [place.topology.probes / "bench-connect", address, "--port", port,
            "--seconds", place.durations.connect, "--parallel", parallel]
    return process.ask(namespace.argv(*argv), place.durations.connect + 7)


class Forward(Group):
    """What comes in from outside through a forwarded port."""

    name = "forward"
    servers = ("rr",)
    guest_servers = ("iperf3", "connect")
    quick = ("forward-in", "forward-connect-rate")
    rows = [
        Row("forward-in", "tcp-forward", "TCP through a forward, to the guest, MTU 1500", "Gbit/s"),
        Row("forward-out", "tcp-forward", "TCP through a forward, from the guest, MTU 1500", "Gbit/s"),
        Row("forward-connect-rate", "connect", "connections through a forward, one at a time", "1/s"),
    ]

    def forwards(self):
        return tuple(topology.PORTS[name] for name in self.guest_servers)

    def measure(self, place):
        if place.wants("forward-connect-rate"):
            found = ask(place, place.topology.server, topology.HOST,
                        topology.PORTS["connect"] + topology.FORWARD_PLUS, 1)
            yield "forward-connect-rate", found["per_second"]
        for name, down in (("forward-in", False), ("forward-out", True)):
            if place.wants(name):
                found = iperf3.bulk(place.topology.server, topology.HOST,
                                    topology.PORTS["iperf3"] + topology.FORWARD_PLUS,
                                    place.durations.bulk, down=down)
                yield name, found["gbit"]


GROUPS = [Connect(1, quick=True), Connect(16), Forward()]
