"""Carries frames between a new TAP device of this namespace and a stream socket, as QEMU frames them: the network card
of a guest that is a namespace, for a network in another process.

usage: tap_bridge.py NAME MAC FD

Says "ready" when the device is there; ends when the other side does. It does not lose a frame by itself: what the other
side does not take yet waits in the device's queue, whose losses the device counts.
"""

import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

TUNSETIFF = 0x400454ca
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
BURST = 64


def open_tap(name, mac):
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "address", mac, "txqueuelen", "10000", "up"], check=True)
    return tap


def carry_out(tap, stream):
    parts = []
    try:
        for _ in range(BURST):
            frame = os.read(tap, 1 << 16)
            parts += [struct.pack(">I", len(frame)), frame]
    except BlockingIOError:
        pass
    stream.sendall(b"".join(parts))


def carry_in(tap, data):
    """Returns what is not a whole frame yet."""
    at = 0
    while len(data) - at >= 4:
        size, = struct.unpack_from(">I", data, at)
        if len(data) - at - 4 < size:
            break
        os.write(tap, data[at + 4:at + 4 + size])
        at += 4 + size
    return data[at:]


def main():
    name, mac, fd = sys.argv[1:]
    stream = socket.socket(fileno=int(fd))
    tap = open_tap(name, mac)
    print("ready", flush=True)
    rest = b""
    while True:
        readable = select.select([tap, stream], [], [])[0]
        if tap in readable:
            carry_out(tap, stream)
        if stream in readable:
            data = stream.recv(1 << 18)
            if not data:
                return
            rest = carry_in(tap, rest + data)


main()
