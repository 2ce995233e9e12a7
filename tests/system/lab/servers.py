"""Servers of this process, in threads, with their sockets in a namespace of the lab."""

import hashlib
import itertools
import selectors
import socket
import struct
import subprocess
import threading

from . import pattern
from .waiting import until


class Server:
    """A TCP server: `handle` of a subclass gets each connection in a thread of its own."""

    def __init__(self, namespace, address="0.0.0.0", port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.peers = []
        self.listener = namespace.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # shutdown, as close alone would not wake the thread in accept
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            self.peers.append(peer[0])
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                self.handle(connection)
            except OSError:
                pass  # the peer went away: its own test sees that

    def handle(self, connection):
        raise NotImplementedError


class TcpEcho(Server):
    def handle(self, connection):
        while data := connection.recv(65536):
            connection.sendall(data)


class Source(Server):
    """Sends COUNT bytes of the pattern."""

    def __init__(self, namespace, count, **where):
        self.count = count
        super().__init__(namespace, **where)

    def handle(self, connection):
        for block in pattern.blocks(self.count):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


class Sink(Server):
    """Reads to the end, then answers with count and SHA-256: works only where half close does."""

    def handle(self, connection):
        digest = hashlib.sha256()
        count = 0
        while data := connection.recv(1 << 20):
            digest.update(data)
            count += len(data)
        connection.sendall(f"{count} {digest.hexdigest()}\n".encode())


class Greeter(Server):
    """Says who the peer is, as seen here."""

    def handle(self, connection):
        connection.sendall(f"{connection.getpeername()[0]}\n".encode())


class Resetter(Server):
    """Resets each connection after its first bytes."""

    def handle(self, connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class UdpEcho:
    def __init__(self, namespace, address="0.0.0.0", port=0):
        self.peers = []
        self.socket = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.port = self.socket.getsockname()[1]
        self.wake, self.stop = socket.socketpair()
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.close()

    def _serve(self):
        with selectors.DefaultSelector() as selector, self.socket, self.wake:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self.wake, selectors.EVENT_READ)
            while all(key.fileobj is not self.wake for key, _ in selector.select()):
                data, peer = self.socket.recvfrom(65536)
                self.peers.append(peer)
                self.socket.sendto(data, peer)


class Dns:
    """A real DNS server, dnsmasq, in a namespace. RECORDS are further options of dnsmasq."""

    def __init__(self, namespace, address, *records):
        self.namespace = namespace
        self.address = address
        self.marks = itertools.count()
        self.process = namespace.popen(
            "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--no-daemon",
            "--conf-file=/dev/null", "--log-queries", "--log-facility=-", "--bind-interfaces",
            f"--listen-address={address}", "--user=root", "--pid-file", "--local=/test/", *records,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.log = []
        self.ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        assert self.ready.wait(60), "".join(self.log)
        assert self.process.poll() is None, "".join(self.log)

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)
            if "started, version" in line:
                self.ready.set()
        self.ready.set()

    def asked(self):
        """The lines of its log about questions so far, but for those of this function. An answer may be here
        before the log was read: that goes on until a question of our own is in it."""
        mark = f"mark-{next(self.marks)}.test"
        name = b"".join(bytes([len(label)]) + label.encode() for label in mark.split(".")) + b"\0"
        question = struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1)
        with self.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(question, (self.address, 53))
            until(lambda: any(f" {mark} " in line for line in self.log), 60, f"{mark} in the log of the DNS server")
        return [line for line in self.log if "query[" in line and " mark-" not in line]

    def questions(self, name):
        """How often it was asked for that."""
        return sum(f" {name} " in line for line in self.asked())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
