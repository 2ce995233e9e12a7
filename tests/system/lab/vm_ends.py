"""A VM's end of its network's socket, of each kind that softnet attaches: send() takes a frame, recv() waits for the
next one and returns it, and whoever selects sees that there is one.

    begin()   once softnet is ready
    close()   also where softnet has ended
"""

import contextlib
import fcntl
import mmap
import os
import select
import socket
import struct

TIMEOUT = 60


def pair(kind):
    ends = socket.socketpair(socket.AF_UNIX, kind)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    ends[0].settimeout(TIMEOUT)
    return ends


class Datagram:
    """A frame each."""

    def __init__(self, _):
        self.socket, self.theirs = pair(socket.SOCK_DGRAM)
        self.fileno, self.send, self.recv = self.socket.fileno, self.socket.send, self.socket.recv

    def begin(self):
        pass

    def close(self):
        self.socket.close()


class Stream:
    """Each frame behind its length, as QEMU does it."""

    def __init__(self, _):
        self.socket, self.theirs = pair(socket.SOCK_STREAM)
        self.fileno = self.socket.fileno

    def begin(self):
        pass

    def send(self, frame):
        self.socket.sendall(struct.pack(">I", len(frame)) + frame)

    def recv(self, _):
        """Takes no more than the frame: the next one is still there for who selects."""
        size, = struct.unpack(">I", self._take(4))
        return self._take(size)

    def _take(self, size):
        got = self.socket.recv(size, socket.MSG_WAITALL)
        assert len(got) == size, "the network is gone"
        return got

    def close(self):
        self.socket.close()


# --- vhost-user -----------------------------------------------------------------------------------

VERSION = 1
ANSWER = 4
GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ENABLE = 12, 13, 18
FEATURES = 1 << 32 | 1 << 30  # VERSION_1; PROTOCOL_FEATURES, so that rings are enabled
HEADER = bytes(12)
WRITABLE = 2
BUFFERS = 64
BUFFER_SIZE = 4096
# Of each queue: descriptors, available ring, used ring, each on a page of its own, and the buffers.
AVAILABLE, USED, FRAMES = 4096, 8192, 12288
QUEUE_SIZE = FRAMES + BUFFERS * BUFFER_SIZE


class Queue:
    """The driver's side of one, in the memory of the guest. Each of its descriptors has a buffer of its own."""

    def __init__(self, memory, index):
        self.memory = memory
        self.at = index * QUEUE_SIZE
        self.flags = WRITABLE if index == 0 else 0
        self.kick, self.call = (os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(2))
        self.offered = self.seen = 0

    def buffer(self, index):
        return self.at + FRAMES + index * BUFFER_SIZE

    def offer(self, index, size):
        struct.pack_into("=QIHH", self.memory, self.at + index * 16, self.buffer(index), size, self.flags, 0)
        struct.pack_into("=H", self.memory, self.at + AVAILABLE + 4 + self.offered % BUFFERS * 2, index)
        self.offered += 1
        struct.pack_into("=H", self.memory, self.at + AVAILABLE + 2, self.offered & 0xffff)
        os.eventfd_write(self.kick, 1)

    def is_used(self):
        return struct.unpack_from("=H", self.memory, self.at + USED + 2)[0] != self.seen & 0xffff

    def take(self):
        """Waits for what the other side has used: its buffer's index, and how much is in it."""
        while not self.is_used():
            assert select.select([self.call], [], [], TIMEOUT)[0], "no call in time"
            self.hear()
        taken = struct.unpack_from("=II", self.memory, self.at + USED + 4 + self.seen % BUFFERS * 8)
        self.seen += 1
        # Whoever selects sees a call exactly while there is something.
        if not self.is_used():
            self.hear()
            if self.is_used():
                os.eventfd_write(self.call, 1)
        return taken

    def hear(self):
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.call)

    def close(self):
        os.close(self.kick)
        os.close(self.call)


class VhostUser:
    """A front end, and the socket at which its back end listens; begin() after leave() is the next VM. A call may come
    without a frame: recv() waits all the same."""

    def __init__(self, place):
        self.path = str(place / "vhost.sock")
        self.theirs = socket.socket(socket.AF_UNIX)
        self.theirs.bind(self.path)
        os.chmod(self.path, 0o600)
        self.theirs.listen(1)

    def begin(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(self.path)
        memory = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            self._share(memory)
        finally:
            os.close(memory)
        self.receiving, self.sending = (self._begin_queue(index) for index in range(2))
        for index in range(BUFFERS):
            self.receiving.offer(index, BUFFER_SIZE)
        self.free = list(range(BUFFERS))  # of those to send from

    def _share(self, memory):
        os.ftruncate(memory, 2 * QUEUE_SIZE)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self.memory = mmap.mmap(memory, 2 * QUEUE_SIZE)
        offered, = struct.unpack("=Q", self._ask(GET_FEATURES, b""))
        assert offered & FEATURES == FEATURES
        self._say(SET_FEATURES, "=Q", FEATURES)
        self._say(SET_OWNER, "")
        # One region; its addresses are the same for the guest and for us.
        self._say(SET_MEM_TABLE, "=IIQQQQ", 1, 0, 0, 2 * QUEUE_SIZE, 0, 0, fd=memory)

    def _begin_queue(self, index):
        queue = Queue(self.memory, index)
        self._say(SET_VRING_NUM, "=II", index, BUFFERS)
        self._say(SET_VRING_BASE, "=II", index, 0)
        self._say(SET_VRING_ADDR, "=IIQQQQ", index, 0, queue.at, queue.at + USED, queue.at + AVAILABLE, 0)
        self._say(SET_VRING_CALL, "=Q", index, fd=queue.call)
        self._say(SET_VRING_KICK, "=Q", index, fd=queue.kick)
        self._say(SET_VRING_ENABLE, "=II", index, 1)
        return queue

    def _say(self, request, layout, *values, fd=None):
        payload = struct.pack(layout, *values)
        socket.send_fds(self.socket, [struct.pack("=III", request, VERSION, len(payload)) + payload],
                        [] if fd is None else [fd])

    def _ask(self, request, payload):
        self.socket.sendall(struct.pack("=III", request, VERSION, len(payload)) + payload)
        answer, flags, size = struct.unpack("=III", self.socket.recv(12, socket.MSG_WAITALL))
        assert (answer, flags) == (request, VERSION | ANSWER)
        return self.socket.recv(size, socket.MSG_WAITALL)

    def fileno(self):
        return self.receiving.call

    def send(self, frame):
        # What was sent is told of late: it is waited for only where there is no other room.
        while self.sending.is_used() or not self.free:
            self.free.append(self.sending.take()[0])
        index = self.free.pop()
        at = self.sending.buffer(index)
        data = HEADER + frame
        self.memory[at:at + len(data)] = data
        self.sending.offer(index, len(data))

    def recv(self, _):
        index, size = self.receiving.take()
        at = self.receiving.buffer(index)
        frame = self.memory[at + len(HEADER):at + size]
        self.receiving.offer(index, BUFFER_SIZE)
        return frame

    def leave(self):
        """In order: each ring is stopped before the VM goes."""
        for index in range(2):
            self._ask(GET_VRING_BASE, struct.pack("=II", index, 0))
        self.close()

    def close(self):
        self.socket.close()
        self.memory.close()
        for queue in self.receiving, self.sending:
            queue.close()


KINDS = {"datagram": Datagram, "stream": Stream, "vhost-user": VhostUser}
