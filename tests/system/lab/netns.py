"""Network namespaces: what a test runs in them, and sockets of this process made in them."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
PREFIX = "tartlet-test"
ETC_NETNS = pathlib.Path("/etc/netns")


def _setns(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """One namespace. `ip netns exec` also gives it the files of /etc/netns/NAME as its own /etc/…"""

    def __init__(self, role):
        self.name = f"{PREFIX}-{os.getpid()}-{role}"
        self.etc = ETC_NETNS / self.name
        self.fd = -1

    def create(self):
        self.etc.mkdir(parents=True)
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        self.ip("link set lo up")

    def destroy(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        remove(self.name)

    def argv(self, *argv):
        return ["ip", "netns", "exec", self.name, *map(str, argv)]

    def run(self, *argv, check=True, **options):
        """Runs a program to its end; its output as text."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 200} | options
        done = subprocess.run(self.argv(*argv), text=True, check=False, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{argv} in {self.name}: exit code {done.returncode}\n"
                                 f"{done.stdout}\n{done.stderr}")
        return done

    def popen(self, *argv, **options):
        return subprocess.Popen(self.argv(*argv), **options)

    def ip(self, words):
        subprocess.run(["ip", "-netns", self.name, *words.split()], check=True)

    def sysctl(self, name, value):
        """Sets a sysctl of this namespace. Only those below net/ belong to a namespace."""
        assert name.startswith("net.")
        self.run("sysctl", "-q", "-w", f"{name}={value}")

    def etc_file(self, name, text):
        """Writes /etc/NAME of this namespace in place: a running program sees it (bind mount)."""
        with open(self.etc / name, "w", encoding="utf-8") as file:
            file.write(text)

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

    def connect(self, address, port, timeout=60):
        with self.entered():
            return socket.create_connection((address, port), timeout=timeout)


def remove(name):
    subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(ETC_NETNS / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        ETC_NETNS.rmdir()


def sweep():
    """Removes what runs that were killed have left; those of living runs stay."""
    found = {path.name for base in (pathlib.Path("/run/netns"), ETC_NETNS) if base.is_dir()
             for path in base.glob(f"{PREFIX}-*-*")}
    for name in found:
        pid = name.removeprefix(f"{PREFIX}-").split("-")[0]
        if not pathlib.Path("/proc", pid).exists():
            remove(name)


def join(one, one_card, other, other_card):
    """A cable between two namespaces."""
    subprocess.run(["ip", "link", "add", one_card, "netns", one.name, "type", "veth",
                    "peer", "name", other_card, "netns", other.name], check=True)
    for namespace, card in ((one, one_card), (other, other_card)):
        namespace.ip(f"link set {card} up")
