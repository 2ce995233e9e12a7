"""Tartlet's vhost-user port with a guest as fast as the host: bench-virtio carries a namespace's TAP over
virtqueues, as a guest's driver would. Beside the guests under TCG, which are slow, it tells what a guest
with a processor of its own would see."""

import os
import pathlib

import topology
from engines import engine


class OursVirtio(engine.Engine):
    name = "ours-vhost-user"
    title = "libvmnet by vhost-user, a namespace as its guest"

    def __init__(self, build):
        self.programs = pathlib.Path(build, "bench/virtio")

    def missing(self):
        return None if (self.programs / "bench-network").exists() else "bench-network is not built"

    def start(self, place, mtu, forwards=()):
        path = place.scratch() / "guest"
        home = str(place.home())
        environment = os.environ | {"XDG_RUNTIME_DIR": home, "HOME": home}
        subnet = f"10.9.{place.index}"
        words = [word for port in forwards
                 for word in ("--forward", f"{port + topology.FORWARD_PLUS}:{port}")]
        main = place.start(place.host, self.programs / "bench-network", "--mtu", mtu, "--subnet", f"{subnet}.0",
                           *words, path, env=environment)
        main.line(engine.READY_SECONDS)
        guest = place.start(place.guest, self.programs / "bench-virtio", "tap0", path)
        guest.line(engine.READY_SECONDS)
        place.guest.ip(f"link set tap0 mtu {mtu}", "link set tap0 up", f"address add {subnet}.2/30 dev tap0",
                       f"route add default via {subnet}.1")
        return RunningVirtio(main, guest)


class RunningVirtio(engine.Running):
    """The guest's side belongs to no engine: QEMU's threads would do its work."""

    def __init__(self, main, guest):
        super().__init__(main)
        self.guest = guest

    def stop(self):
        self.guest.release()
        super().stop()
