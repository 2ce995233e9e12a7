"""The control service of the bench's guest (tools/guest/guest-agent.c), through a forwarded port."""

import contextlib
import re
import select
import socket
import time

import process
import topology

PORT = 2
ECHO_PORT = 7
END = re.compile(rb"\0exit (\d+)\n$")


class Agent:
    """Runs commands in the guest; asked from the server namespace, as anybody outside would."""

    def __init__(self, place):
        self.place = place

    def _connect(self, timeout):
        connection = self.place.server.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect((topology.HOST, PORT + topology.FORWARD_PLUS))
        except OSError:
            connection.close()
            raise
        return connection

    def ask(self, command, timeout=30):
        """What a command prints."""
        end = time.monotonic() + timeout
        output = b""
        try:
            with self._connect(5) as connection:
                connection.sendall(command.encode() + b"\n")
                connection.settimeout(1)
                while time.monotonic() < end:
                    with contextlib.suppress(TimeoutError):
                        piece = connection.recv(65536)
                        if not piece:
                            break
                        output += piece
        except OSError as error:
            raise process.Failure(f"in the guest, {command}: {error}") from error
        found = END.search(output)
        if not found or found.group(1) != b"0":
            raise process.Failure(f"in the guest, {command}: no good end after {output[-200:]!r}")
        return output[:found.start()].decode(errors="replace")

    def first_byte(self, check, seconds):
        """Waits for the first byte that the guest sends through the forward."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            check()
            with contextlib.suppress(OSError), self._connect(1) as connection:
                connection.sendall(b"true\n")
                if select.select([connection], [], [], 0.5)[0] and connection.recv(1):
                    return
            time.sleep(0.005)
        raise process.Failure(f"the guest does not answer within {seconds} s")
