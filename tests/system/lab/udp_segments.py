"""Datagrams that the kernel takes, and gives, in one piece (UDP_SEGMENT, UDP_GRO).

    udp_segments.py ADDRESS PORT

as the COMMAND of `tartlet netns` sends them, awaits others, and prints what came as JSON, with the number of
packets that eth0 has sent.
"""

import hashlib
import json
import pathlib
import socket
import sys

SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104  # Python 3.11 does not name them
COUNT, SIZE = 40, 1400


def data_of(seed):
    return b"".join(hashlib.sha256(b"%d %d" % (seed, i)).digest() for i in range(COUNT * SIZE // 32))


def prepare(udp):
    udp.settimeout(60)
    udp.setsockopt(SOL_UDP, UDP_GRO, 1)


def send(udp, seed, where):
    """All by one system call."""
    size = [(SOL_UDP, UDP_SEGMENT, SIZE.to_bytes(2, sys.byteorder))]
    assert udp.sendmsg([data_of(seed)], size, 0, where) == COUNT * SIZE


def receive(udp, seed):
    """Whether that came, in how many pieces and of which sizes of datagrams; and from whom."""
    data, pieces, sizes = b"", 0, set()
    while len(data) < COUNT * SIZE:
        piece, control, _, peer = udp.recvmsg(65536, 64)
        # A datagram by itself comes without a size.
        sizes |= {int.from_bytes(value, sys.byteorder) for level, kind, value in control
                  if (level, kind) == (SOL_UDP, UDP_GRO)} or {len(piece)}
        data += piece
        pieces += 1
    return {"right": data == data_of(seed), "pieces": pieces, "sizes": list(sizes)}, peer


def packets_sent():
    lines = pathlib.Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    [words] = [line.split() for line in lines if line.split()[0] == "eth0:"]
    return int(words[10])


def main(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        prepare(udp)
        send(udp, 1, (address, int(port)))
        found, _ = receive(udp, 2)
        print(json.dumps(found | {"sent": packets_sent()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
