"""The load of a soak: what may always pass, what never may, and what sometimes may.

usage: soak_load.py server ADDRESS
       soak_load.py client ADDRESS PORTS

The server says its ports as a line of JSON, which are the client's PORTS. Both run until their standard input ends, and
then say as another line what they have sent and received. Datagrams are numbered, and say when they were sent (the
monotonic clock, which both have in common).
"""

import collections
import errno
import json
import select
import socket
import struct
import sys
import time

SO_RXQ_OVFL = 40  # Python has no name for it
SO_RCVBUFFORCE = 33
TICK = 0.005
UDP_PER_TICK = 10  # 2,000 a second
STREAMS = 3
CHUNK = bytes(range(250)) * 16
TCP_EVERY = 0.02
TRY_EVERY = 0.1
DATAGRAM = struct.Struct(">QQ84x")


def udp_socket(address="0.0.0.0"):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    made.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    made.bind((address, 0))
    made.setblocking(False)
    return made


class Received:
    """Datagrams of one socket: how many, which twice, and what the socket's buffer had no room for."""

    def __init__(self, sock):
        self.socket = sock
        self.numbers = set()
        self.twice = 0
        self.overflowed = 0

    def take(self, handle=None):
        while True:
            try:
                data, notes, _, peer = self.socket.recvmsg(2048, 64)
            except BlockingIOError:
                return
            for level, kind, value in notes:
                if (level, kind) == (socket.SOL_SOCKET, SO_RXQ_OVFL):
                    self.overflowed = struct.unpack("I", value)[0]
            number, sent = DATAGRAM.unpack(data)
            self.twice += number in self.numbers
            self.numbers.add(number)
            if handle:
                handle(data, sent, peer)

    def sums(self):
        return {"count": len(self.numbers), "twice": self.twice, "overflowed": self.overflowed}


class Poller:
    def __init__(self):
        self.poll = select.epoll()
        self.handlers = {}
        self.add(sys.stdin, self.stop)
        self.stopped = False

    def add(self, sock, handler):
        self.handlers[sock.fileno()] = handler
        self.poll.register(sock, select.EPOLLIN)

    def remove(self, sock):
        del self.handlers[sock.fileno()]
        self.poll.unregister(sock)

    def stop(self):
        self.stopped = True

    def once(self, timeout):
        for fd, _ in self.poll.poll(timeout):
            if fd in self.handlers:
                self.handlers[fd]()


def listen(address):
    made = socket.create_server((address, 0))
    made.setblocking(False)
    return made


class Echo:
    """A connection of the server's, whose bytes go back."""

    def __init__(self, poller, connection):
        self.poller = poller
        self.connection = connection
        poller.add(connection, self.serve)

    def serve(self):
        try:
            data = self.connection.recv(1 << 16)
            self.connection.setblocking(True)
            self.connection.sendall(data)
        except ConnectionError:
            data = b""
        if not data:
            self.poller.remove(self.connection)
            self.connection.close()


def serve(address):
    poller = Poller()
    open_udp, closed_udp, some_udp = (Received(udp_socket(address)) for _ in range(3))
    open_tcp, closed_tcp = listen(address), listen(address)
    passed = []
    accepted = collections.Counter()

    def accept(listener, kind):
        accepted[kind] += 1
        Echo(poller, listener.accept()[0])

    poller.add(open_udp.socket, lambda: open_udp.take(lambda data, _, peer: open_udp.socket.sendto(data, peer)))
    poller.add(closed_udp.socket, closed_udp.take)
    poller.add(some_udp.socket, lambda: some_udp.take(
        lambda _, sent, __: passed.append((sent, time.monotonic_ns()))))
    poller.add(open_tcp, lambda: accept(open_tcp, "open"))
    poller.add(closed_tcp, lambda: accept(closed_tcp, "closed"))
    print(json.dumps({name: sock.getsockname()[1] for name, sock in (
        ("open_udp", open_udp.socket), ("closed_udp", closed_udp.socket), ("some_udp", some_udp.socket),
        ("open_tcp", open_tcp), ("closed_tcp", closed_tcp))}), flush=True)
    while not poller.stopped:
        poller.once(-1)
    print(json.dumps({"open_udp": open_udp.sums(), "closed_udp": closed_udp.sums(), "some_udp": some_udp.sums(),
                      "passed": passed, "accepted": accepted}), flush=True)


class Stream:
    """A connection with a steady flow of bytes, which come back."""

    def __init__(self, poller, address, port):
        self.connection = socket.create_connection((address, port), timeout=20)
        self.connection.setblocking(False)
        self.waiting = b""
        self.sent = self.received = 0
        self.problem = None
        self.ended = False
        poller.add(self.connection, self.receive)
        self.poller = poller

    def fail(self, problem):
        self.problem = self.problem or str(problem)
        self.end()

    def end(self):
        if not self.ended:
            self.poller.remove(self.connection)
            self.ended = True

    def receive(self):
        try:
            data = self.connection.recv(1 << 16)
        except OSError as problem:
            self.fail(problem)
            return
        start = self.received % len(CHUNK)
        if data != (CHUNK[start:] + CHUNK * (len(data) // len(CHUNK) + 1))[:len(data)]:
            self.fail(f"other bytes at {self.received}")
        self.received += len(data)
        if not data:
            self.end()

    def send(self):
        """What does not fit is sent first the next time."""
        self.waiting = self.waiting or CHUNK
        try:
            size = self.connection.send(self.waiting)
        except BlockingIOError:
            return
        except OSError as problem:
            self.fail(problem)
            return
        self.waiting = self.waiting[size:]
        self.sent += size

    def finish(self):
        """Nothing more from here; what is under way comes back."""
        if not self.ended:
            self.connection.shutdown(socket.SHUT_WR)


def attempt(address, port):
    made = socket.socket()
    made.setblocking(False)
    made.connect_ex((address, port))
    return made


def outcome(sock):
    """What became of it by now."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code == 0:
        try:
            sock.getpeername()
            code = errno.EISCONN
        except OSError as problem:
            code = problem.errno
    sock.close()
    return errno.errorcode[code]


class Client:
    def __init__(self, address, ports):
        self.poller = Poller()
        self.address = address
        self.ports = ports
        self.echoes = Received(udp_socket())
        self.others = udp_socket()
        self.poller.add(self.echoes.socket, self.echoes.take)
        self.streams = [Stream(self.poller, address, ports["open_tcp"]) for _ in range(STREAMS)]
        self.sent = collections.Counter()
        self.attempts = collections.Counter()
        self.attempt = None

    def datagram(self, sock, kind):
        sock.sendto(DATAGRAM.pack(self.sent[kind], time.monotonic_ns()), (self.address, self.ports[kind]))
        self.sent[kind] += 1

    def tick(self, number):
        for _ in range(UDP_PER_TICK):
            self.datagram(self.echoes.socket, "open_udp")
        if number % 2 == 0:
            for kind in "closed_udp", "some_udp":
                self.datagram(self.others, kind)
        if number % round(TCP_EVERY / TICK) == 0:
            for stream in self.streams:
                if not stream.ended:
                    stream.send()
        if number % round(TRY_EVERY / TICK) == 0:
            if self.attempt:
                self.attempts[outcome(self.attempt)] += 1
            self.attempt = attempt(self.address, self.ports["closed_tcp"])

    def run(self):
        number = 0
        due = time.monotonic()
        print("started", flush=True)
        while not self.poller.stopped:
            self.poller.once(max(0, due - time.monotonic()))
            if time.monotonic() < due:
                continue
            self.tick(number)
            number += 1
            # Ticks that were missed while others ran are left out: a burst is not what is asked for.
            due = max(due + TICK, time.monotonic() - TICK)

    def finish(self):
        """What is under way arrives, or has 5 seconds to."""
        for stream in self.streams:
            stream.finish()
        self.poller.remove(sys.stdin)
        end = time.monotonic() + 5
        while time.monotonic() < end and (not all(stream.ended for stream in self.streams) or
                                          len(self.echoes.numbers) < self.sent["open_udp"]):
            self.poller.once(0.1)
        print(json.dumps({"sent": self.sent, "echoes": self.echoes.sums(), "attempts": self.attempts,
                          "streams": [{"sent": stream.sent, "received": stream.received, "problem": stream.problem,
                                       "ended": stream.ended} for stream in self.streams]}), flush=True)


def main():
    if sys.argv[1] == "server":
        serve(sys.argv[2])
    else:
        client = Client(sys.argv[2], json.loads(sys.argv[3]))
        client.run()
        client.finish()


main()
