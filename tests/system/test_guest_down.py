"""A forward's TCP client that comes while the guest is down: held for 3 s, then reset; served when the
guest is up in time. A frozen QEMU stands in for a guest that is not up yet."""

import contextlib
import os
import signal
import threading
import time

import pytest
from lab import topology
from lab.tartlet import qemu_pids
from lab.waiting import until

from test_reboot import is_new

# "about 3 s", in seconds
LEAST, MOST = 2.5, 6


@pytest.fixture(scope="module")
def sleeper(tartlet, guest):
    """A VM that was frozen before its kernel could bring up the network."""
    tartlet.create("sleeper", guest)
    running = tartlet.run("sleeper")
    freeze(running)
    yield running
    thaw(running)
    running.end()


def freeze(running):
    [qemu] = qemu_pids(running.pids())
    os.kill(qemu, signal.SIGSTOP)


def thaw(running):
    for qemu in qemu_pids(running.pids()):
        os.kill(qemu, signal.SIGCONT)


def outcome(connection, timeout):
    """What comes of a connection, "reset", "end" or what it was answered, and when."""
    connection.settimeout(timeout)
    try:
        how = connection.recv(100).decode() or "end"
    except ConnectionResetError:
        how = "reset"
    return how, time.monotonic()


@contextlib.contextmanager
def client(namespace, address, port):
    """A client that has asked, and when it began."""
    start = time.monotonic()
    with namespace.connect(address, port) as connection:
        connection.sendall(b"hello\n")
        yield connection, start


def test_reset_after_3_s(lab, sleeper):
    """Two that came a moment apart, from the host itself and from another machine."""
    port = sleeper.port(7)
    with client(lab.host, "127.0.0.1", port) as (first, first_start), \
            client(lab.server, topology.HOST, port) as (second, second_start):
        for connection, start in ((first, first_start), (second, second_start)):
            how, when = outcome(connection, MOST + 4)
            assert how == "reset"
            assert LEAST < when - start < MOST


def test_guest_that_boots_is_reached(sleeper):
    """What came while it was frozen has not spoilt anything."""
    thaw(sleeper)
    assert sleeper.up().lease()["address"] == sleeper.address


def test_served_when_the_guest_comes_back_in_time(lab, sleeper):
    sleeper.up()
    freeze(sleeper)
    try:
        with client(lab.server, topology.HOST, sleeper.port(7)) as (connection, start):
            with pytest.raises(TimeoutError):
                outcome(connection, 1.5)
            thaw(sleeper)
            how, when = outcome(connection, 10)
            assert how == "hello\n"
            assert when - start < MOST
    finally:
        thaw(sleeper)


class Prober:
    """Comes as a new client every 0.1 s, and notes of each what came of it, and how long that took."""

    QUESTION = b"test ! -e /tmp/before && echo new || echo old\n"

    def __init__(self, namespace, address, port):
        self.namespace = namespace
        self.where = (address, port)
        self.results = []
        self.ended = threading.Event()
        self.threads = []
        self.main = threading.Thread(target=self._run)
        self.main.start()

    def _run(self):
        while not self.ended.wait(0.1):
            self.threads.append(threading.Thread(target=self._come))
            self.threads[-1].start()

    def _come(self):
        start = time.monotonic()
        try:
            with self.namespace.connect(*self.where) as connection:
                connection.sendall(self.QUESTION)
                how, when = outcome(connection, MOST + 4)
        except OSError as error:
            how, when = repr(error), time.monotonic()
        self.results.append((how, when - start))

    def end(self):
        self.ended.set()
        for thread in [self.main, *self.threads]:
            thread.join()


def test_clients_during_a_reboot(lab, sleeper):
    """None waits for long, and some that came to a guest that was down (one that is up answers in
    milliseconds) were held until it was up again."""
    agent = sleeper.up()
    agent.run("touch /tmp/before")
    prober = Prober(lab.server, topology.HOST, sleeper.port(2))
    try:
        agent.tell("reboot")
        until(lambda: is_new(sleeper), 90, "the guest after its reboot")
    finally:
        prober.end()
    for how, took in prober.results:
        assert how in ("reset", "end") or how.startswith(("old\n", "new\n")), how
        assert took < MOST, how
    assert any(how.startswith("new") and took > 0.5 for how, took in prober.results), prober.results
