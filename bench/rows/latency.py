"""Request and response by TCP and UDP: alone, and while a bulk flow runs."""

import process
import topology
from rows import iperf3
from rows.row import LESS, Group, Row

WARM_UP = 0.05
LOADS = {"": "alone", "-load-up": "while a flow goes up", "-load-down": "while a flow goes down"}


def exchange(place, udp, seconds, warm_up=WARM_UP):
    """The figures of one bench-rr."""
    argv = [place.topology.probes / "bench-rr", topology.SERVER, "--port", topology.PORTS["rr"],
            "--seconds", seconds, "--warm-up", warm_up]
    return answered(process.ask(place.topology.guest.argv(*argv, *(["--udp"] if udp else [])),
                                seconds + warm_up + 6))


def answered(found):
    """Unanswered questions count with the time that was waited; but where nothing is answered there is
    nothing to time."""
    if found["unanswered"] == found["exchanges"]:
        raise process.Failure("not one question was answered")
    return found


def rows_of(mark, said):
    return [Row(f"rr-{protocol}-{share}{mark}", "latency",
                f"{protocol.upper()} request and response, {share}, {said}", "us", LESS)
            for protocol in ("tcp", "udp") for share in ("p50", "p99")]


def measure_both(place, mark):
    """TCP, then UDP, each with its two rows."""
    for protocol in ("tcp", "udp"):
        names = [f"rr-{protocol}-p50{mark}", f"rr-{protocol}-p99{mark}"]
        if place.wants(*names):
            found = exchange(place, protocol == "udp", place.durations.latency)
            yield names[0], found["p50_us"]
            yield names[1], found["p99_us"]


class Latency(Group):
    name = "latency"
    servers = ("rr", "iperf3")
    rows = [row for mark, said in LOADS.items() for row in rows_of(mark, said)] + [
        Row(f"rr-load-{way}", "load", f"the flow that goes {way} meanwhile", "Gbit/s")
        for way in ("up", "down")]
    quick = tuple(row.name for row in rows)

    def measure(self, place):
        yield from measure_both(place, "")
        for way in ("up", "down"):
            mark = f"-load-{way}"
            names = {row.name for row in rows_of(mark, "")} | {f"rr-load-{way}"}
            if not place.wants(*names):
                continue
            lasts = place.durations.ramp + 2 * (place.durations.latency + WARM_UP + 0.03)
            load = iperf3.Load(place.topology.guest, lasts, way == "down")
            try:
                # Exchanges that nobody counts, until the load is there.
                exchange(place, False, 0.01, place.durations.ramp)
                yield from measure_both(place, mark)
            finally:
                reached = load.end()
            yield f"rr-load-{way}", reached


GROUPS = [Latency()]
