"""gvproxy (gvisor-tap-vsock), which has no TAP of its own: bench-wire carries the frames to its bess
socket. Its processor time and memory are counted with bench-wire's, since there must be one."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess

import process
import topology
from engines import engine

GUEST = "192.168.127.2"
GATEWAY = "192.168.127.1"
MAC = "5a:94:ef:e4:0c:ee"  # the one that it leases GUEST to


class Gvproxy(engine.Engine):
    name = "gvproxy"
    title = "gvproxy (gVisor's network)"

    def __init__(self, program):
        self.program = program

    def missing(self):
        return None if shutil.which(self.program) else \
            "gvproxy is not installed (name it by GVPROXY=; bench/newer-peers makes one)"

    def version(self):
        done = subprocess.run([self.program, "-version"], check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.stdout.strip().removeprefix("gvproxy version ")

    def start(self, place, mtu, forwards=()):
        directory = place.scratch()
        api, frames = directory / "api", directory / "frames"
        main = place.start(place.host, self.program, "-mtu", mtu, "-listen", f"unix://{api}",
                           "-listen-bess", f"unixpacket://{frames}", "-ssh-port", free_ssh_port(place))
        engine.wait_path(main, frames)
        wire = place.start(place.guest, place.probes / "bench-wire", "tap0", frames)
        wire.line(engine.READY_SECONDS)
        place.guest.ip(f"link set tap0 address {MAC} mtu {mtu}", "link set tap0 up",
                       f"address add {GUEST}/24 dev tap0", f"route add default via {GATEWAY}")
        for port in forwards:
            expose(api, port)
        return RunningGvproxy(main, wire)


class RunningGvproxy(engine.Running):
    def __init__(self, main, wire):
        super().__init__(main)
        self.wire = wire

    def pids(self):
        return super().pids() + [self.wire.pid]

    def stop(self):
        self.wire.release()
        super().stop()


def free_ssh_port(place):
    """It always forwards one port to ssh; several in one namespace need different ones."""
    return 2222 + place.index


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.fspath(self.path))


def expose(api, port):
    body = {"local": f":{port + topology.FORWARD_PLUS}", "remote": f"{GUEST}:{port}"}
    with contextlib.closing(UnixConnection(api)) as connection:
        connection.request("POST", "/services/forwarder/expose", json.dumps(body))
        answer = connection.getresponse()
        if answer.status != 200:
            raise process.Failure(f"gvproxy refuses a forward: {answer.read().decode(errors='replace')}")
