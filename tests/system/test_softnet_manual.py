"""softnet(1): the program in it that starts a VM does so, as it stands there."""

import os
import pathlib

MANUAL = pathlib.Path(__file__).resolve().parents[2] / "docs/softnet.1.scd"

# In QEMU's place: says what DHCP offers, over QEMU's framing of the stream that its command line names.
MACHINE = """import re, socket, struct, sys
from scapy.all import BOOTP, DHCP, IP, UDP, Ether
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
stream = socket.socket(fileno=int(re.fullmatch("stream,id=net0,server=off,addr.type=fd,addr.str=([0-9]+)",
                                               options["-netdev"])[1]))
mac = options["-device"].removeprefix("virtio-net-pci,netdev=net0,mac=")
frame = bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) /
              BOOTP(chaddr=bytes.fromhex(mac.replace(":", ""))) / DHCP(options=[("message-type", "discover"), "end"]))
stream.sendall(struct.pack(">I", len(frame)) + frame)
size, = struct.unpack(">I", stream.recv(4, socket.MSG_WAITALL))
print("offered:", Ether(stream.recv(size, socket.MSG_WAITALL))[BOOTP].yiaddr)
"""


def test_manual(softnet_program, lab, dns, place):
    """The example of softnet(1) as it stands there, with a machine of ours, and with QEMU."""
    example = place / "example.py"
    example.write_text(MANUAL.read_text().partition("```\n#!/usr/bin/python3\n")[2].partition("```")[0].replace("\\\\", "\\"))
    environment = os.environ | {"HOME": str(place), "XDG_RUNTIME_DIR": str(place)}

    def run(*machine, text=""):
        return lab.host.run("/usr/bin/python3", example, softnet_program, *machine, env=environment, input=text).stdout

    said = run("/usr/bin/python3", "-c", MACHINE).splitlines()
    address = said[0].removeprefix("address: ")
    assert said == [f"address: {address}", "rules: 2", f"offered: {address}"]
    said = run("qemu-system-x86_64", "-M", "q35,accel=tcg", "-S", "-display", "none", "-monitor", "stdio", text="quit\n")
    assert "rules: 2" in said and "QEMU" in said
