"""Debian 12's defaults, whatever the machine has: a namespace begins with the machine's own."""

import pathlib

DEBIAN = {
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
}


def set_here():
    """In the caller's namespace, whose root it is."""
    for name, value in DEBIAN.items():
        path = pathlib.Path("/proc/sys", *name.split("."))
        path.write_text(value, encoding="ascii")
        found = " ".join(path.read_text(encoding="ascii").split())
        assert found == value, f"{name} is {found}"
