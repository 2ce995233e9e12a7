"""How many system calls an engine makes for a known amount of work, counted by strace.

strace slows the engine down, which changes how much it finds waiting each time it wakes up: the counts
are for comparing one build with another, beside the instructions, not a time."""

import re
import signal
import subprocess
import tempfile
import time

import process
import topology
from engines import engine as engine_module
from rows import connect, iperf3, udp
from rows.row import LESS, Durations, Place, Row

SECONDS = 2.0
CONNECT_SECONDS = 1.0
UDP_RATE = 20_000
UDP_SIZE = 1400
ATTACH_SECONDS = 10

ROWS = [
    Row("syscalls-up", "syscalls-bulk", "system calls, TCP up, 1 flow, MTU 1500", "per GB", LESS),
    Row("syscalls-down", "syscalls-bulk", "system calls, TCP down, 1 flow, MTU 1500", "per GB", LESS),
    Row("syscalls-connection", "syscalls", "system calls, one short connection", "each", LESS),
    Row("syscalls-datagram", "syscalls", f"system calls, a datagram up at {UDP_RATE:,} a second", "each", LESS),
]


def read(text):
    """Name -> calls, of what `strace -c` prints."""
    found = {}
    for line in text.splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if row and row.group(2) != "total":
            found[row.group(2)] = int(row.group(1))
    return found


class Count:
    """Counts while the block runs."""

    def __init__(self, pids):
        self.pids = pids
        self.calls = {}

    def __enter__(self):
        self.out = tempfile.NamedTemporaryFile("r")
        words = [word for pid in self.pids for word in ("-p", str(pid))]
        self.tracer = process.Process(["strace", "-c", "-f", "-o", self.out.name, *words])
        end = time.monotonic() + ATTACH_SECONDS
        while self.tracer.complained().count("attached") < len(self.pids):
            if not self.tracer.running() or time.monotonic() > end:
                failure = self.tracer.failure("did not attach")
                self.tracer.release()
                raise failure
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.tracer.child.send_signal(signal.SIGINT)
        try:
            self.tracer.child.wait(10)
        except subprocess.TimeoutExpired:
            pass
        self.tracer.release()
        self.calls = read(self.out.read())
        self.out.close()

    def total(self):
        return sum(self.calls.values())


def measure(engine, probes, congestion=None):
    """Gives (row, value)."""
    durations = Durations(bulk=SECONDS, connect=CONNECT_SECONDS, udp=SECONDS)
    with topology.Topology(probes, congestion=congestion) as made:
        made.serve(made.server, "rr", "iperf3", "connect", "udp")
        with engine_module.run(engine, made, 1500) as running:
            place = Place(made, engine, running, durations, frozenset())
            for way in ("up", "down"):
                with Count(running.pids()) as counted:
                    found = iperf3.bulk(made.guest, topology.SERVER, topology.PORTS["iperf3"], SECONDS,
                                        down=way == "down")
                yield f"syscalls-{way}", counted.total() / (found["bytes"] / 1e9)
            with Count(running.pids()) as counted:
                found = connect.ask(place, made.guest, topology.SERVER, topology.PORTS["connect"], 1)
            yield "syscalls-connection", counted.total() / max(1, found["connections"])
            with Count(running.pids()) as counted:
                found = udp.send(place, "up", UDP_SIZE, UDP_RATE, durations.udp)
            yield "syscalls-datagram", counted.total() / max(1, found["received"])
