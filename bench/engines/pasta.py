"""pasta, which is passt for network namespaces: Debian's, or the one that PASTA= names."""

import re
import subprocess

import topology
from engines import engine


class Pasta(engine.Engine):
    def __init__(self, name, program):
        self.name = name
        self.title = f"pasta ({'Debian' if name == 'pasta' else program})"
        self.program = program

    def missing(self):
        return engine.program(self.program, "passt")

    def version(self):
        return passt_version(self.program)

    def start(self, place, mtu, forwards=()):
        ports = ",".join(f"{port + topology.FORWARD_PLUS}:{port}" for port in forwards)
        return engine.Running(place.start(
            place.host, self.program, "--foreground", "--quiet", "--config-net", "--runas", "0",
            "--netns", place.guest.path, "--mtu", mtu, "--ns-ifname", "tap0", "--ipv4-only",
            "--address", "10.9.0.2", "--netmask", "24", "--gateway", "10.9.0.1", "--no-map-gw",
            "--tcp-ports", ports or "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"))


def passt_version(program):
    """As it says itself; Debian 12's does not, and its package does."""
    text = subprocess.run([program, "--version"], check=False, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    found = re.search(r"^(?:passt|pasta) (\S*\d\S*)", text, re.MULTILINE)
    return found.group(1) if found else package_version("passt")


def package_version(name):
    return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()
