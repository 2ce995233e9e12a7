"""A long path: 25 ms each way between host and server."""

import topology
from rows import iperf3
from rows.row import Group, Row


class LongPath(Group):
    name = "path50"
    servers = ("rr", "iperf3")
    delay_ms = 50
    quick = ("path50-up",)
    rows = [Row(f"path50-{way}", "path", f"TCP {way}, 1 flow, 50 ms there and back", "Gbit/s")
            for way in ("up", "down")]

    def measure(self, place):
        for way in ("up", "down"):
            if place.wants(f"path50-{way}"):
                found = iperf3.bulk(place.topology.guest, topology.SERVER, topology.PORTS["iperf3"],
                                    place.durations.long_path, down=way == "down")
                yield f"path50-{way}", found["gbit"]
        place.topology.end_relay()


GROUPS = [LongPath()]
