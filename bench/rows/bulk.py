"""TCP as fast as it goes: up and down, one flow and eight, and what it costs the engine."""

import topology
from rows import iperf3
from rows.row import LESS, Group, Row


class Bulk(Group):
    servers = ("rr", "iperf3")

    def __init__(self, mtu, quick=False):
        self.mtu = mtu
        self.name = f"bulk-{mtu}"
        self.quick = tuple(f"{what}-{way}-1-mtu{mtu}" for what in ("tcp", "cpu") for way in ("up", "down")
                           if quick)
        self.rows = []
        for flows in (1, 8):
            for way in ("up", "down"):
                mark = f"{way}-{flows}-mtu{mtu}"
                said = f"{way}, {flows} flow{'s' if flows > 1 else ''}, MTU {mtu}"
                self.rows.append(Row(f"tcp-{mark}", "tcp", f"TCP {said}", "Gbit/s"))
                self.rows.append(Row(f"cpu-{mark}", "cpu", f"engine CPU, TCP {said}", "s/GB", LESS))
                if flows > 1:
                    self.rows.append(Row(f"fair-{mark}", "fairness", f"fairness, TCP {said}", "Jain's index"))

    def measure(self, place):
        for flows in (1, 8):
            for way in ("up", "down"):
                mark = f"{way}-{flows}-mtu{self.mtu}"
                if not place.wants(f"tcp-{mark}", f"cpu-{mark}", f"fair-{mark}"):
                    continue
                found = iperf3.bulk(place.topology.guest, topology.SERVER, topology.PORTS["iperf3"],
                                    place.durations.bulk, flows, way == "down", place.running.pids())
                yield f"tcp-{mark}", found["gbit"]
                if place.running.pids():
                    yield f"cpu-{mark}", found["cpu"]
                if flows > 1:
                    yield f"fair-{mark}", found["fairness"]


GROUPS = [Bulk(1500, quick=True), Bulk(9000), Bulk(65520, quick=True)]
