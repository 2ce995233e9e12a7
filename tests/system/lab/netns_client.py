"""The program inside: both directions of TCP with a checksum, run as the COMMAND of `tartlet netns`.

    netns_client.py ADDRESS SOURCE_PORT SINK_PORT COUNT [CONGESTION_CONTROL]

Its namespace gets Debian's sysctls first. Prints what it got from the source, then what the sink says it
got: COUNT and SHA-256 each.
"""

import hashlib
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from lab import pattern, sysctls  # noqa: E402


def connect(address, port, control):
    connection = socket.socket()
    if control:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
    connection.settimeout(120)
    connection.connect((address, port))
    return connection


def receive(connection):
    digest = hashlib.sha256()
    count = 0
    while data := connection.recv(1 << 20):
        digest.update(data)
        count += len(data)
    return f"{count} {digest.hexdigest()}"


def send(connection, count):
    for block in pattern.blocks(count):
        connection.sendall(block)
    connection.shutdown(socket.SHUT_WR)
    return connection.makefile().readline().strip()


def main(address, source, sink, count, control=None):
    sysctls.set_here()
    with connect(address, int(source), control) as connection:
        print(receive(connection))
    with connect(address, int(sink), control) as connection:
        print(send(connection, int(count)))


main(*sys.argv[1:])
