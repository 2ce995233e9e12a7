"""What a guest must not reach: servers on every address of the host, with a log, and everything that moves there."""

import contextlib
import selectors
import socket
import threading

EVERYTHING = 0x0003  # ETH_P_ALL
RECEIVE_BUFFER = 64 << 20
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_STATISTICS = 6

WORD = b"BAIT"
PAGE = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + WORD + b"\n"


class Baits:
    """TCP and UDP on each of (address, port), in one thread: whoever comes gets WORD and is written down. Over
    TCP it comes as a page, so that wget is content, too."""

    def __init__(self, namespace, places):
        self.seen = []
        self.selector = selectors.DefaultSelector()
        self.wake, self.stop = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ)
        self.sockets = [self.wake]
        for address, port in places:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
                made = namespace.socket(family, kind)
                self.sockets.append(made)
                made.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    made.listen(64)
                self.selector.register(made, selectors.EVENT_READ, f"{address} {port}")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.close()
        self.thread.join(10)
        for made in self.sockets:
            made.close()

    def _serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.wake:
                    return
                if key.fileobj.type == socket.SOCK_STREAM:
                    self._accept(key.fileobj, key.data)
                else:
                    _, peer = key.fileobj.recvfrom(65536)
                    self.seen.append((key.data, "udp", peer[0]))
                    key.fileobj.sendto(WORD, peer)

    def _accept(self, listener, place):
        connection, peer = listener.accept()
        self.seen.append((place, "tcp", peer[0]))
        with connection, contextlib.suppress(OSError):
            connection.sendall(PAGE)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(2)
            while connection.recv(4096):
                pass  # closed over unread bytes, it would be reset


class Wiretap:
    """All packets of a namespace, on every interface, loopback among them. A frame that was lost fails the test."""

    def __init__(self, namespace):
        with namespace.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def frames(self):
        """What has come since the last time."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(65536))
        lost = int.from_bytes(self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)[4:], "little")
        assert lost == 0, f"{lost} frames were not captured"
        return found
