"""What an engine does for a known amount of work, counted from outside: system calls by strace, and
instructions, the kernel's with them, by perf where the machine counts any (few virtual machines do).

strace slows the engine down, which changes how much it finds waiting each time it wakes up: the counts
are for comparing one build with another, not a time."""

import re
import shutil
import signal
import subprocess
import tempfile
import time

import process
import topology
from engines import engine as engine_module, qemu
from rows import connect, iperf3, udp
from rows.row import LESS, Durations, Place, Row

SECONDS = 2.0
CONNECT_SECONDS = 1.0
UDP_RATE = 20_000
UDP_SIZE = 1400
ATTACH_SECONDS = 10
GUEST_CONNECTIONS = 100
GUEST_SECONDS = 60


class Counter:
    """Counts while the block runs; then `total`. The subclasses say how."""

    def __init__(self, pids):
        self.pids = pids
        self.total = 0

    def argv(self, out):
        raise NotImplementedError

    def is_attached(self, tracer):
        raise NotImplementedError

    @staticmethod
    def read(text):
        """The total that a program printed, None where it counted nothing."""
        raise NotImplementedError

    def __enter__(self):
        self.out = tempfile.NamedTemporaryFile("r")
        self.tracer = process.Process(self.argv(self.out.name))
        end = time.monotonic() + ATTACH_SECONDS
        while not self.is_attached(self.tracer):
            if not self.tracer.running() or time.monotonic() > end:
                failure = self.tracer.failure("did not attach")
                self.tracer.release()
                raise failure
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.tracer.child.send_signal(signal.SIGINT)
        try:
            self.tracer.child.wait(ATTACH_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # release() ends it
        self.tracer.release()
        self.total = self.read(self.out.read()) or 0
        self.out.close()


class SystemCalls(Counter):
    def argv(self, out):
        return ["strace", "-c", "-f", "-o", out, *(word for pid in self.pids for word in ("-p", str(pid)))]

    def is_attached(self, tracer):
        # A helper of the start may end between being listed and being attached to.
        text = tracer.complained()
        return text.count(" attached") + text.count("No such process") >= len(self.pids)

    @staticmethod
    def read(text):
        rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", text, re.MULTILINE)
        return sum(int(count) for count, name in rows if name != "total") if rows else None


class Instructions(Counter):
    def argv(self, out):
        return ["perf", "stat", "-x", ",", "-e", "instructions", "-o", out,
                "-p", ",".join(map(str, self.pids))]

    def is_attached(self, tracer):
        """It says nothing; it is there as soon as its events are."""
        return tracer.running() and "perf_event" in process.open_files(tracer.pid)

    @staticmethod
    def read(text):
        found = re.search(r"^(\d+),[^,]*,instructions", text, re.MULTILINE)
        return int(found.group(1)) if found else None


def machine_counts_instructions():
    if not shutil.which("perf"):
        return False
    with tempfile.NamedTemporaryFile("r") as out:
        subprocess.run(["perf", "stat", "-x", ",", "-e", "instructions", "-o", out.name, "true"], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return Instructions.read(out.read()) is not None


def rows_of(mark, what):
    return [
        Row(f"{mark}-up", f"{mark}-bulk", f"{what}, TCP up, 1 flow, MTU 1500", "per GB", LESS),
        Row(f"{mark}-down", f"{mark}-bulk", f"{what}, TCP down, 1 flow, MTU 1500", "per GB", LESS),
        Row(f"{mark}-connection", mark, f"{what}, one short connection", "each", LESS),
        Row(f"{mark}-datagram", mark, f"{what}, a datagram up at {UDP_RATE:,} a second", "each", LESS),
    ]


# Under QEMU all is slow, so that hardly ever two things are found waiting at once: the most there is.
GUEST_ROW = Row("syscalls-vm-connection", "syscalls", "system calls, one short connection of a guest under QEMU",
                "each", LESS)

ROWS = {
    SystemCalls: rows_of("syscalls", "system calls"),
    Instructions: rows_of("perf", "instructions, the kernel's with them"),
}


def measure(counter, engine, probes, congestion=None):
    """Gives (row, value)."""
    up, down, connection, datagram = (row.name for row in ROWS[counter])
    durations = Durations(bulk=SECONDS, connect=CONNECT_SECONDS, udp=SECONDS)
    with topology.Topology(probes, congestion=congestion) as made:
        made.serve(made.server, "rr", "iperf3", "connect", "udp")
        with engine_module.run(engine, made, 1500) as running:
            place = Place(made, engine, running, durations, frozenset())
            for name in (up, down):
                with counter(running.pids()) as counted:
                    found = iperf3.bulk(made.guest, topology.SERVER, topology.PORTS["iperf3"], SECONDS,
                                        down=name == down)
                yield name, counted.total / (found["bytes"] / 1e9)
            with counter(running.pids()) as counted:
                found = connect.ask(place, made.guest, topology.SERVER, topology.PORTS["connect"], 1)
            yield connection, counted.total / max(1, found["connections"])
            with counter(running.pids()) as counted:
                found = udp.send(place, "up", UDP_SIZE, UDP_RATE, durations.udp)
            yield datagram, counted.total / max(1, found["received"])


def measure_guest(engine, probes, congestion=None):
    """Gives (row, value): connections from a guest under QEMU, one after another."""
    with topology.Topology(probes, congestion=congestion) as made:
        made.serve(made.server, "connect")
        with qemu.run(engine, made, 1500) as running:
            ask = f"echo -n x | tcp-ask {topology.SERVER} {topology.PORTS['connect']} >/dev/null || exit 1"
            command = f"for i in $(seq {GUEST_CONNECTIONS}); do {ask}; done"
            running.agent.ask(command.replace(str(GUEST_CONNECTIONS), "1", 1), GUEST_SECONDS)
            with SystemCalls(running.pids()) as counted:
                running.agent.ask(command, GUEST_SECONDS)
        yield GUEST_ROW.name, counted.total / GUEST_CONNECTIONS
