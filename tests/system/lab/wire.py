"""What leaves a namespace of the lab: every frame of all its interfaces, seen by a packet socket."""

import socket
import struct

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33  # Python has no name for it
SOL_PACKET = 263
PACKET_STATISTICS = 6


class Wire:
    """Frames as bytes, queued by the kernel until they are taken. None is lost unseen: take() would say so."""

    def __init__(self, namespace):
        with namespace.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def take(self):
        """What has come since the last time."""
        frames = []
        while True:
            try:
                frames.append(self.socket.recv(1 << 16, socket.MSG_DONTWAIT))
            except BlockingIOError:
                break
        lost = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        assert lost == 0, f"{lost} frames were not seen"
        return frames

    def until(self, mark, timeout=20):
        """All frames up to one that has these bytes."""
        self.socket.settimeout(timeout)
        frames = []
        while not frames or mark not in frames[-1]:
            frames.append(self.socket.recv(1 << 16))
        return frames
