"""Programs that run beside the bench, and what they cost: processor time, memory, wake-ups."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
STOP_SECONDS = 10


class Failure(Exception):
    """What a person reads about a measurement that could not be made."""


def _die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A program in the background. What it prints goes to a file, so that it never waits for us."""

    def __init__(self, argv, env=None, stdin=subprocess.DEVNULL, pass_fds=()):
        argv = list(map(str, argv))
        self.title = os.path.basename(argv[2] if argv[0] == "nsenter" else argv[0])
        self.output = tempfile.TemporaryFile("w+b")
        self.errors = tempfile.TemporaryFile("w+b")
        self.read = 0
        try:
            self.child = subprocess.Popen(argv, env=env, stdin=stdin, stdout=self.output,
                                          stderr=self.errors, pass_fds=pass_fds,
                                          preexec_fn=_die_with_parent)
        except OSError as error:
            raise Failure(f"{self.title} cannot be started: {error.strerror}") from error
        self.pid = self.child.pid

    def failure(self, what):
        return Failure(f"{self.title} {what}; it said: {self.said() or 'nothing'}")

    def said(self):
        text = _whole(self.output) + _whole(self.errors)
        return " / ".join(text.strip().splitlines()[-3:])

    def printed(self):
        return _whole(self.output)

    def complained(self):
        return _whole(self.errors)

    def running(self):
        return self.child.poll() is None

    def line(self, timeout):
        """The next line of its output."""
        end = time.monotonic() + timeout
        while True:
            ended = not self.running()
            found = os.pread(self.output.fileno(), 65536, self.read).partition(b"\n")
            if found[1]:
                self.read += len(found[0]) + 1
                return found[0].decode(errors="replace")
            if ended:
                raise self.failure(f"ended with {self.child.returncode}")
            if time.monotonic() > end:
                raise self.failure(f"printed no line within {timeout} s")
            time.sleep(0.001)

    def finish(self, timeout):
        """Waits for its end; its output."""
        try:
            code = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise self.failure(f"did not end within {timeout:g} s") from None
        if code != 0:
            raise self.failure(f"ended with {code}")
        return _whole(self.output)

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.child.poll() is not None:
                break
            self.child.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(STOP_SECONDS)

    def release(self):
        """Ends it and closes what is left of it; a second time does nothing."""
        self.stop()
        if self.child.stdin:
            self.child.stdin.close()
        self.output.close()
        self.errors.close()


def _whole(file):
    if file.closed:
        return ""
    return os.pread(file.fileno(), 64 << 20, 0).decode(errors="replace")


def ask(argv, timeout):
    """Runs a program to its end; the JSON that it prints."""
    process = Process(argv)
    try:
        text = process.finish(timeout)
    finally:
        process.release()
    try:
        return json.loads(text)
    except ValueError:
        raise Failure(f"{process.title} did not print JSON but {text[:200]!r}") from None


# --- what processes cost -------------------------------------------------------------------------

def tree(pid):
    """The process and everything below it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text(encoding="ascii").split():
                found += tree(int(child))
    return found


def open_files(pid):
    """What its descriptors are, in one text."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(path))
    return " ".join(found)


def program_name(pid):
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    return ""


def cpu_seconds(pids):
    """Time on a processor of all threads, by the scheduler's own nanoseconds: utime + stime is the
    same sum, rounded to ticks."""
    total = 0
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(path.read_text(encoding="ascii").split()[0])
    return total / 1e9


def wakeups(pids):
    """How often a thread went to sleep by itself so far: each of these ends with a wake-up."""
    total = 0
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):
                found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)",
                                  path.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
                total += int(found.group(1)) if found else 0
    return total


def memory_mb(pids):
    """Private anonymous memory and the proportional set size, in 10^6 bytes."""
    anonymous = proportional = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            anonymous += int(re.search(r"^RssAnon:\s+(\d+)", status, re.MULTILINE).group(1))
            proportional += int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE).group(1))
    return {"anon": anonymous * 1024 / 1e6, "pss": proportional * 1024 / 1e6}
