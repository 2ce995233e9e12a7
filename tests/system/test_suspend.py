"""A VM that stands still for a while, as one that is snapshot or debugged, loses nothing."""

import concurrent.futures
import os
import signal
import socket
import threading
import time

import pytest
from lab import pattern, servers, topology
from lab.tartlet import qemu_pids
from lab.waiting import until

BYTES = 60_000_000


class Source(servers.Source):
    """Tells how far it came, and pauses after its first part, until it is told to go on."""

    def __init__(self, namespace, count, first):
        self.sent = 0
        self.first = first
        self.pauses = threading.Event()
        self.go = threading.Event()
        super().__init__(namespace, count)

    def handle(self, connection):
        for block in pattern.blocks(self.count):
            if self.sent >= self.first and not self.go.is_set():
                self.pauses.set()
                self.go.wait()
            connection.sendall(block)
            self.sent += len(block)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    def stands_still(self):
        """A question for `until`: nothing moved for two seconds."""
        seen = [-1, 0.0]

        def ask():
            if seen[0] != self.sent:
                seen[:] = self.sent, time.monotonic()
            return time.monotonic() - seen[1] > 2

        return ask


@pytest.fixture
def qemu(vm):
    (pid,) = qemu_pids(vm.pids())
    yield pid
    os.kill(pid, signal.SIGCONT)


def test_download_goes_on(lab, agent, qemu):
    with Source(lab.server, BYTES, BYTES // 20) as source, concurrent.futures.ThreadPoolExecutor() as pool:
        said = pool.submit(agent.run, f"tcp-ask {topology.SERVER} {source.port} </dev/null | sha256sum",
                           timeout=400)
        assert source.pauses.wait(120), "the first bytes are not sent"
        os.kill(qemu, signal.SIGSTOP)
        source.go.set()
        until(source.stands_still(), 120, "all queues are full")
        assert source.sent < BYTES
        os.kill(qemu, signal.SIGCONT)
        assert said.result().split()[0] == pattern.sha256(BYTES)
