"""As much of a VNC client (RFC 6143) as a test needs: password, size of the screen, keys and pointer."""

import struct
import subprocess


class Refused(Exception):
    """The server does not take the password."""


def des(key, block):
    """One block of DES. The protocol has each byte of its key mirrored (erratum 4951 of RFC 6143). Three
    times DES with one key is DES, and openssl has that without its module of old ciphers."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in key)
    return subprocess.run(["openssl", "enc", "-e", "-des-ede3", "-nopad", "-K", (mirrored * 3).hex()],
                          input=block, check=True, capture_output=True).stdout


class Vnc:
    def __init__(self, connection, password):
        self.stream = connection.makefile("rwb", buffering=0)
        assert self.read(12) == b"RFB 003.008\n"
        self.stream.write(b"RFB 003.008\n")
        kinds = self.read(self.read(1)[0])
        assert kinds == b"\2", f"security types {kinds}: only a password is to do"
        self.stream.write(b"\2")
        challenge = self.read(16)
        key = password.encode()[:8].ljust(8, b"\0")
        self.stream.write(des(key, challenge[:8]) + des(key, challenge[8:]))
        if struct.unpack(">I", self.read(4))[0] != 0:
            raise Refused
        self.stream.write(b"\1")
        self.width, self.height = struct.unpack(">HH", self.read(4))
        self.read(16)
        self.name = self.read(struct.unpack(">I", self.read(4))[0]).decode()
        # Raw pixels, and QEMU's word for absolute positions: without it, they are taken for steps.
        self.stream.write(struct.pack(">BxHii", 2, 2, 0, -257))

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.stream.read(size - len(data))
            if not piece:
                raise ConnectionResetError("the VNC server hung up")
            data += piece
        return data

    def press(self, key):
        """A key of X (XK_a = 0x61), down and up."""
        for down in (1, 0):
            self.stream.write(struct.pack(">BBxxI", 4, down, key))

    def point(self, x, y):
        self.stream.write(struct.pack(">BBHH", 5, 0, x, y))
