"""What an engine is to the rows."""

import contextlib
import errno
import select
import shutil
import socket
import time

import process
import topology

READY_SECONDS = 10


class Engine:
    """Gives a guest namespace its network; the subclasses say how."""

    name = "none"
    kind = "netns"  # or "vm": which groups of rows measure it
    title = "none"
    # of the guest's interface, as far as the engine goes
    mtu_max = 65520
    # Has processes of its own: the kernel has none to measure.
    measurable = True

    def missing(self):
        """Why it cannot run here, as half a sentence, or None."""
        return None

    def version(self):
        return ""

    def start(self, place, mtu, forwards=()):
        """Starts it in a topology; `forwards` are TCP ports of the guest. A Running."""
        raise NotImplementedError


class Running:
    """An engine at work."""

    def __init__(self, main=None):
        self.main = main
        self.ready_ms = None

    def pids(self):
        """The processes that are the engine."""
        return process.tree(self.main.pid) if self.main else []

    def check(self):
        if self.main and not self.main.running():
            raise self.main.failure(f"ended with {self.main.child.returncode}")

    def stop(self):
        if self.main:
            self.main.release()


def wait_path(main, path):
    """Until the program has made its socket."""
    end = time.monotonic() + READY_SECONDS
    while not path.exists():
        if not main.running():
            raise main.failure(f"ended with {main.child.returncode}")
        if time.monotonic() > end:
            raise main.failure(f"made no {path.name}")
        time.sleep(0.001)


def program(name, package):
    """Why a program is missing, or None."""
    if shutil.which(name):
        return None
    return f"{name} is not installed (apt-get install {package})"


def _connects(namespace, port, patience):
    """One TCP connection from there to the server, tried for as long as a healthy path needs."""
    connection = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    with contextlib.closing(connection):
        connection.setblocking(False)
        failure = connection.connect_ex((topology.SERVER, port))
        if failure == errno.EINPROGRESS:
            if not select.select([], [connection], [], patience)[1]:
                return False
            failure = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return failure == 0


def wait_ready(running, place, started, seconds=READY_SECONDS):
    """Until the guest reaches the server: the one definition of readiness for all engines."""
    patience = 0.05 + 2 * place.delay_ms / 1000
    while not _connects(place.guest, topology.PORTS["rr"], patience):
        running.check()
        if time.monotonic() - started > seconds:
            raise process.Failure(f"the guest does not reach the server within {seconds} s")
        time.sleep(0.001)
    running.ready_ms = (time.monotonic() - started) * 1000


@contextlib.contextmanager
def run(engine, place, mtu, forwards=()):
    """The engine, until the block ends; the guest reaches the server."""
    started = time.monotonic()
    running = engine.start(place, mtu, forwards)
    try:
        wait_ready(running, place, started)
        place.guest_is_ready()
        yield running
        running.check()
    finally:
        running.stop()
