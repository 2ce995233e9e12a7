"""Network namespaces of the bench: made, entered, left."""

import contextlib
import ctypes
import os
import pathlib
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
PREFIX = "tartlet-bench"
PLACE = pathlib.Path("/run/netns")


def _setns(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    def __init__(self, role):
        self.role = role
        self.name = f"{PREFIX}-{os.getpid()}-{role}"
        self.path = PLACE / self.name
        self.fd = -1

    def create(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.ip("link set lo up")

    def destroy(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            remove(self.name)

    def argv(self, *argv):
        """nsenter replaces itself by the program: the process id is the program's."""
        return ["nsenter", f"--net={self.path}", *map(str, argv)]

    def ip(self, *lines):
        """Commands of ip(8), in one process."""
        subprocess.run(["ip", "-netns", self.name, "-batch", "-"], check=True, text=True,
                       input="".join(f"{line}\n" for line in lines), stdout=subprocess.DEVNULL)

    def choose_congestion(self, name):
        """What sockets have that do not choose themselves, wherever routes lead now. A route takes every control
        that the machine offers, a namespace's sysctl only some (net.ipv4.tcp_allowed_congestion_control)."""
        shown = subprocess.run(["ip", "-4", "-netns", self.name, "route", "show"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout
        self.ip(*routes_with_congestion(shown, name))

    def nft(self, text):
        subprocess.run(self.argv("nft", "-f", "-"), check=True, text=True, input=text)

    def sysctl(self, name, value):
        """Sets a sysctl of this namespace; False where the kernel does not have it or refuses."""
        path = pathlib.Path("/proc/sys", *name.split("."))
        with self.entered(), contextlib.suppress(OSError):
            path.write_text(f"{value}\n", encoding="ascii")
            return True
        return False

    def read_sysctl(self, name):
        path = pathlib.Path("/proc/sys", *name.split("."))
        with self.entered(), contextlib.suppress(OSError):
            return " ".join(path.read_text(encoding="ascii").split())
        return None

    @contextlib.contextmanager
    def entered(self):
        """Sockets that this thread makes inside of the block belong to the namespace."""
        with open(f"/proc/self/task/{threading.get_native_id()}/ns/net", "rb") as before:
            _setns(self.fd)
            try:
                yield
            finally:
                _setns(before.fileno())

    def socket(self, family, kind):
        with self.entered():
            return socket.socket(family, kind)


def routes_with_congestion(shown, name):
    """Commands of ip(8) that give the routes it shows that congestion control."""
    def options(words):
        # "linkdown" is a state, and not for ip to set.
        words = [word for word in words if word not in ("linkdown", "dead")]
        if "congctl" in words:
            at = words.index("congctl")
            del words[at:at + (3 if words[at + 1] == "lock" else 2)]
        return " ".join(words)

    return [f"route replace {options(line.split())} congctl {name}" for line in shown.splitlines() if line.strip()]


def remove(name):
    subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def sweep():
    """Removes what runs that were killed have left; those of living runs stay."""
    if not PLACE.is_dir():
        return
    for path in PLACE.glob(f"{PREFIX}-*-*"):
        pid = path.name.removeprefix(f"{PREFIX}-").split("-")[0]
        if not pathlib.Path("/proc", pid).exists():
            remove(path.name)


def join(one, one_card, other, other_card):
    """A cable between two namespaces."""
    subprocess.run(["ip", "link", "add", one_card, "netns", one.name, "type", "veth",
                    "peer", "name", other_card, "netns", other.name], check=True)
    one.ip(f"link set {one_card} up")
    other.ip(f"link set {other_card} up")
