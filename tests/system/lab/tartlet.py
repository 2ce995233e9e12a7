"""The program under test: commands of it, and a running `tartlet run`."""

import collections
import contextlib
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import threading
import time

from . import report
from .guest import GuestAgent

FORWARD = re.compile(r"^forward:\s*(?P<protocol>tcp|udp)\s+(?P<address>\[.*?\]|[^\s:\[\]]+):(?P<external>\d+)"
                     r"\s*->\s*(?:\S*:)?(?P<internal>\d+)\s*$")
FACT = re.compile(r"^(?P<name>[a-z][a-z ]*):\s*(?P<value>.*?)\s*$")

Forward = collections.namedtuple("Forward", "protocol address external internal")
Person = collections.namedtuple("Person", "uid gid home")

# Ports of the guest that the tests use: control service, echo, who asks, ssh, HTTP, UDP echo.
EXPOSE = ["0:2", "0:7", "0:7/udp", "0:11", "0:11/udp", "0:22", "0:80", "0:53/udp"]

# Limits of what should take a second or two: a guest has an emulated processor, and the machine may have
# twenty others who want its own. They end only what hangs.
START_SECONDS = 180
STOP_SECONDS = 120
COMMAND_SECONDS = 150


class Tartlet:
    """tartlet with a TARTLET_HOME of its own, run in a namespace as root or as PERSON. `wrapper` is
    what runs it, still as root (lab/tun.py)."""

    net_attach = None  # conftest.py: what --net-attach says
    path = os.environ["PATH"]

    def __init__(self, program, namespace, home, runtime, person=None):
        self.program = program
        self.namespace = namespace
        self.home = pathlib.Path(home)
        self.person = person
        self.environment = os.environ | {
            "TARTLET_HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "LC_ALL": "C.UTF-8",
            "PATH": self.path, "HOME": str(person.home if person else home),
        }
        self.running = []
        self.wrapper = []

    def argv(self, *argv):
        argv = [str(self.program), *map(str, argv)]
        if self.person:
            argv = ["setpriv", f"--reuid={self.person.uid}", f"--regid={self.person.gid}",
                    "--clear-groups", "--no-new-privs", *argv]
        return self.namespace.argv(*self.wrapper, *argv)

    def command(self, *argv, expect=0, timeout=COMMAND_SECONDS):
        """Runs a command to its end and holds it to its exit code (None: any)."""
        done = subprocess.run(self.argv(*argv), env=self.environment, timeout=timeout, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert expect is None or done.returncode == expect, \
            f"tartlet {' '.join(map(str, argv))}: exit code {done.returncode}, not {expect}\n" \
            f"{done.stdout}\n{done.stderr}"
        return done

    def json(self, *argv):
        return json.loads(self.command(*argv, "--format", "json").stdout)

    def create(self, name, guest, kernel="vmlinux", cmdline="", memory=256):
        # no_timer_check: on a busy machine the kernel would find that the emulated timer does not tick, and panic.
        # loglevel=5 is one more than quiet: of a processor that hangs the other one tells the call trace (RCU's, at 21 s).
        self.command("create", name, "--kernel", guest[kernel], "--initrd", guest["initrd"],
                     "--memory", memory, "--cmdline", f"console=ttyS0 loglevel=5 no_timer_check {cmdline}".strip())

    def console(self, name):
        """Options of a run by which a report has what its guest said; it is a serial port more for the guest."""
        return ("--serial-path", self.home / f"{name}.console")

    def run(self, name, *options, expose=EXPOSE, kind="vmnet", pass_fds=(), console=True):
        """Starts the VM and waits until the facts are printed, not until the guest is up. Ports are exposed by the
        option of this kind of network."""
        if self.net_attach and "--net-attach" not in options:
            options += ("--net-attach", self.net_attach)
        if console and not {"--serial", "--serial-path"} & set(options):
            options += self.console(name)
        running = RunningVm(self, name, options, expose, kind, pass_fds)
        self.running.append(running)
        running.wait_started()
        return running

    def stop_all(self):
        for running in self.running:
            running.end()


def expected_lines(expose):
    """How many facts each (internal port, protocol) makes: one per address, and where the spec names
    none, one for IPv4 and one for IPv6."""
    expected = collections.Counter()
    for spec in expose:
        ports, _, protocol = spec.partition("/")
        expected[int(ports.split(":")[-1]), protocol or "tcp"] += 2 if ports.count(":") == 1 else 1
    return expected


class RunningVm:
    """A `tartlet run` of the test."""

    made = []  # all of this session, for the report of a test that failed

    def __init__(self, tartlet, name, options, expose, kind="vmnet", pass_fds=()):
        self.tartlet = tartlet
        self.name = name
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        self.began_at = time.monotonic()
        self.ended_at = None
        self.last_look = None  # described while it ran, by who ended it in a test that fails
        self.expected = expected_lines(expose)
        self.console = options[options.index("--serial-path") + 1] if "--serial-path" in options else None
        self.console_before = len(report.read(self.console))
        argv = tartlet.argv("run", name, *options)
        if expose:
            argv += [f"--net-{kind}-expose", ",".join(expose)]
        self.process = subprocess.Popen(argv, env=tartlet.environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, errors="replace", start_new_session=True,
                                        pass_fds=pass_fds)
        threading.Thread(target=self._read, daemon=True).start()
        RunningVm.made.append(self)

    def _read(self):
        with self.process.stdout:
            for line in self.process.stdout:
                with self.changed:
                    self.lines.append(line.rstrip("\r\n"))
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.ended_at = time.monotonic()
            self.changed.notify_all()

    @property
    def output(self):
        with self.changed:
            return "\n".join(self.lines)

    def wait_for(self, question, timeout, what):
        """Waits for a line that makes QUESTION true; each line that comes asks it again."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.ended or question(), timeout) \
                    or not question():
                raise AssertionError(f"tartlet run {self.name}: no {what} within {timeout} s; it printed:\n"
                                     + "\n".join(self.lines))

    def wait_started(self):
        self.wait_for(self._all_facts, START_SECONDS, "complete facts")
        return self

    def _all_facts(self):
        bound = collections.Counter((forward.internal, forward.protocol)
                                    for forward in self._forwards())
        return self._fact("address") is not None and self._fact("subnet") is not None \
            and all(bound[wanted] >= lines for wanted, lines in self.expected.items())

    def _fact(self, name):
        for line in self.lines:
            found = FACT.match(line)
            if found and found["name"].endswith(name):
                return found["value"]
        return None

    def fact(self, name):
        with self.changed:
            value = self._fact(name)
        assert value is not None, f"no fact {name} in:\n{self.output}"
        return value

    def _forwards(self):
        return [Forward(found["protocol"], found["address"].strip("[]"), int(found["external"]),
                        int(found["internal"]))
                for found in map(FORWARD.match, self.lines) if found]

    @property
    def forwards(self):
        """What was bound, as printed."""
        with self.changed:
            return self._forwards()

    def port(self, internal, protocol="tcp"):
        """The external port of a port of the guest."""
        ports = {forward.external for forward in self.forwards
                 if (forward.internal, forward.protocol) == (internal, protocol)}
        assert len(ports) == 1, f"{protocol} {internal}: {ports} in\n{self.output}"
        return ports.pop()

    @property
    def address(self):
        return self.fact("address").split("/")[0]

    def agent(self, address="127.0.0.1"):
        return GuestAgent(self.tartlet.namespace, address, self.port(2))

    def up(self, timeout=START_SECONDS):
        """The guest's control service, once it answers."""
        return self.agent().wait(timeout)

    def wait(self, timeout=STOP_SECONDS):
        """Exit code, and all of the output read."""
        code = self.process.wait(timeout)
        self.wait_for(lambda: self.ended, timeout, "end of output")
        return code

    def pids(self):
        """tartlet run itself, and everything below it."""
        return descendants(self.process.pid)

    def kill(self):
        """kill -9 of tartlet run alone: what it started is for the kernel to end."""
        # ip netns exec and setpriv have replaced themselves by tartlet.
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def describe(self):
        """What is to be seen of it from outside; of one that a failing test has ended, as it was then."""
        if self.last_look:
            return self.last_look
        code = self.process.poll()
        ended = self.ended_at or time.monotonic()
        directory = self.tartlet.home / "vms" / self.name
        return report.chapters(
            ("state", f"runs for {ended - self.began_at:.1f} s" if code is None else
             f"ended after {ended - self.began_at:.1f} s with exit code {code}"),
            ("tartlet run printed, with its errors", report.tail(self.output.encode())),
            ("qemu.log", report.tail(report.read(directory / "qemu.log"))),
            ("the guest's console", report.tail(report.read(self.console)[self.console_before:])),
            ("processes", report.processes(self.pids() if code is None else [])),
            (f"in {directory}", report.listing(directory)),
            ("machine", report.machine()))

    def end(self):
        """Ends it in any case: the clean-up of a test."""
        if sys.exc_info()[0] and not self.last_look:
            self.last_look = self.describe()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended since
            found += [int(word) for word in task.read_text().split()]
    return found


def descendants(pid):
    found = [pid]
    for child in children(pid):
        found += descendants(child)
    return found


def qemu_pids(pids):
    """Those of the processes that are QEMU."""
    found = []
    for pid in pids:
        try:
            program = os.readlink(f"/proc/{pid}/exe")
        except OSError:
            continue
        if "qemu-system" in program:
            found.append(pid)
    return found


def wait_gone(pids, timeout=STOP_SECONDS):
    """Waits until none of the processes lives (each by its pidfd)."""
    end = time.monotonic() + timeout
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(fd, "rb", buffering=0) as file:
            left = max(0.0, end - time.monotonic())
            assert select.select([file], [], [], left)[0], f"process {pid} lives on"
