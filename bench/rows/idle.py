"""10,000 connections that carry nothing: what they do to request and response, and what they cost."""

import json
import subprocess
import time

import process
import topology
from rows import latency
from rows.row import LESS, Group, Row

COUNT = 10_000
OPEN_SECONDS = 20
SETTLE_SECONDS = 0.3


def at_rest(pids, seconds):
    """Memory, wake-ups a second and ms of processor time a second of an engine with nothing to do."""
    time.sleep(SETTLE_SECONDS)  # what the start or the last row has left to be done
    wakeups, cpu, start = process.wakeups(pids), process.cpu_seconds(pids), time.monotonic()
    time.sleep(seconds)
    lasted = time.monotonic() - start
    return process.memory_mb(pids) | {"wakeups": (process.wakeups(pids) - wakeups) / lasted,
                                      "cpu": (process.cpu_seconds(pids) - cpu) * 1000 / lasted}


class Idle(Group):
    name = "idle"
    servers = ("rr", "idle")
    rows = [
        Row("idle-opened", "idle-opened", f"of {COUNT:,} connections open", "count"),
        *latency.rows_of("-10k", "10,000 idle flows beside it"),
        Row("memory-10k-anon", "memory", "private memory, 10,000 flows", "MB", LESS),
        Row("memory-10k-pss", "memory", "PSS, 10,000 flows", "MB", LESS),
        Row("idle-wakeups-10k", "wakeups", "wake-ups, 10,000 idle flows", "1/s", LESS),
        Row("idle-cpu-10k", "idle-cpu", "engine CPU, 10,000 idle flows", "ms/s", LESS),
    ]

    def measure(self, place):
        client = place.topology.start(
            place.topology.guest, place.topology.probes / "bench-idle", topology.SERVER,
            "--port", topology.PORTS["idle"], "--count", COUNT, "--open-seconds", OPEN_SECONDS,
            "--limit", 120, stdin=subprocess.PIPE)
        yield "idle-opened", json.loads(client.line(OPEN_SECONDS + 5))["open"]
        yield from latency.measure_both(place, "-10k")
        if place.running.pids():
            found = at_rest(place.running.pids(), place.durations.idle)
            yield "memory-10k-anon", found["anon"]
            yield "memory-10k-pss", found["pss"]
            yield "idle-wakeups-10k", found["wakeups"]
            yield "idle-cpu-10k", found["cpu"]


GROUPS = [Idle()]
