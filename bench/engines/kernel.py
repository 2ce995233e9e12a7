"""The kernel itself: a veth pair from guest to host, forwarding, nft masquerade."""

import pathlib
import subprocess

import topology
from engines import engine
from namespace import join

TABLE = """
table ip bench {
	chain out {
		type nat hook postrouting priority srcnat;
		oifname "h0" masquerade
	}
	chain in {
		type nat hook prerouting priority dstnat;
%s
	}
}
"""


class Kernel(engine.Engine):
    name = "kernel"
    title = "kernel: veth and nft masquerade"
    measurable = False

    def missing(self):
        return engine.program("nft", "nftables")

    def version(self):
        return pathlib.Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii").strip()

    def start(self, place, mtu, forwards=()):
        card = f"v{place.index}"
        guest, gateway = f"10.9.{place.index}.2", f"10.9.{place.index}.1"
        join(place.guest, "g0", place.host, card)
        place.guest.ip(f"link set g0 mtu {mtu}", f"address add {guest}/30 dev g0",
                       f"route add default via {gateway}")
        place.host.ip(f"link set {card} mtu {mtu}", f"address add {gateway}/30 dev {card}")
        if place.index == 0:
            place.host.sysctl("net.ipv4.ip_forward", 1)
            place.host.nft(TABLE % "\n".join(
                f"\t\tiifname \"h0\" tcp dport {port + topology.FORWARD_PLUS} dnat to {guest}:{port}"
                for port in forwards))
        return RunningKernel(place)


class RunningKernel(engine.Running):
    def __init__(self, place):
        super().__init__()
        self.place = place

    def stop(self):
        subprocess.run(["ip", "-netns", self.place.guest.name, "link", "delete", "g0"], check=False,
                       stderr=subprocess.DEVNULL)
