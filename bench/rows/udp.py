"""Datagrams: the highest rate with 1 % loss or less, and the loss at fixed rates."""

import figures
import process
import topology
from rows.row import LESS, Group, Row

LOSS_PERCENT = 1.0
FIRST = 40_000
MOST = 2_000_000
PRECISION = 0.06
FIXED = (60_000, 100_000)


def send(place, way, size, rate, seconds):
    """The figures of one bench-udp."""
    argv = [place.topology.probes / "bench-udp", topology.SERVER, "--port", topology.PORTS["udp"],
            "--size", size, "--rate", f"{rate:.0f}", "--seconds", seconds]
    return process.ask(place.topology.guest.argv(*argv, *(["--down"] if way == "down" else [])),
                       2 * seconds + 11)


def highest(place, way, size):
    """What arrived a second at the highest rate that passed. Each rate has a second try: one moment in
    which nobody could run is no property of the engine, nor is one in which the sender could not."""
    def attempt(rate):
        reached = 0.0
        for _ in range(2):
            found = send(place, way, size, rate, place.durations.udp)
            if found["loss_percent"] <= LOSS_PERCENT:
                reached = max(reached, found["received_per_second"])
            if reached >= figures.REACHED * rate:
                break
        return reached > 0, reached
    return figures.highest_rate(attempt, FIRST, MOST, PRECISION)


class Udp(Group):
    servers = ("rr", "udp")

    def __init__(self, way, size, quick=False):
        self.way = way
        self.size = size
        self.quick = (f"udp-max-{way}-{size}", f"udp-loss-{way}-{size}-60k") if quick else ()
        self.name = f"udp-{way}-{size}"
        self.rows = [Row(f"udp-max-{way}-{size}", "udp", f"UDP {way}, {size} B, at 1 % loss", "1/s")]
        self.rows += [Row(f"udp-loss-{way}-{size}-{rate // 1000}k", "udp-loss",
                          f"UDP {way}, {size} B, at {rate:,} a second", "% lost", LESS) for rate in FIXED]

    def measure(self, place):
        for rate in FIXED:
            name = f"udp-loss-{self.way}-{self.size}-{rate // 1000}k"
            if place.wants(name):
                yield name, send(place, self.way, self.size, rate, place.durations.udp_fixed)["loss_percent"]
        name = f"udp-max-{self.way}-{self.size}"
        if place.wants(name):
            yield name, highest(place, self.way, self.size)


GROUPS = [Udp("up", 1400, quick=True), Udp("up", 64), Udp("down", 1400), Udp("down", 64)]
