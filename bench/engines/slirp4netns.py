"""slirp4netns: libslirp behind a TAP."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time

import process
import topology
from engines import engine

GUEST = "10.0.2.100"


class Slirp4netns(engine.Engine):
    name = "slirp4netns"
    title = "slirp4netns (libslirp)"

    def missing(self):
        return engine.program("slirp4netns", "slirp4netns")

    def version(self):
        text = subprocess.run(["slirp4netns", "--version"], check=False, text=True,
                              stdout=subprocess.PIPE).stdout
        return ", libslirp ".join(re.findall(r"(?:slirp4netns version|libslirp:) (\S+)", text))

    def start(self, place, mtu, forwards=()):
        api = place.scratch() / "api"
        main = place.start(place.host, "slirp4netns", "--configure", "--mtu", mtu, "--netns-type", "path",
                           "--api-socket", api, place.guest.path, "tap0")
        running = engine.Running(main)
        for port in forwards:
            add_forward(running, api, port)
        return running


def add_forward(running, api, port):
    request = {"execute": "add_hostfwd", "arguments": {
        "proto": "tcp", "host_addr": "0.0.0.0", "host_port": port + topology.FORWARD_PLUS,
        "guest_addr": GUEST, "guest_port": port}}
    end = time.monotonic() + engine.READY_SECONDS
    while True:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
            client.settimeout(5)
            try:
                client.connect(os.fspath(api))
            except OSError:
                running.check()
                if time.monotonic() > end:
                    raise process.Failure("slirp4netns: its API socket does not come") from None
                time.sleep(0.002)
                continue
            client.sendall(json.dumps(request).encode())
            client.shutdown(socket.SHUT_WR)
            answer = json.loads(client.recv(4096) or b"{}")
        if "return" not in answer:
            raise process.Failure(f"slirp4netns refuses a forward: {answer}")
        return
