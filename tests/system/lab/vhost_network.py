#!/usr/bin/python3
"""A network of libvmnet with a listening vhost-user port, and a neighbour of the test's own on it.

    vhost_network.py LIBRARY SOCKET DIRECTORY MAC [--unsealed] [--forwards]

prints "ready", then answers commands on its standard input, each with one line of JSON: "stats"; "arp
ADDRESS [SECONDS]" (the MAC that answers, or null); "echo MAC ADDRESS COUNT SIZE" (how many ICMP echoes came back
whole, at most 64 at a time on the way). Ends at the end of its input. With --forwards, 127.0.0.1:8002
leads to port 2 of the guest, and 8080 to its port 80. What the network logs is in DIRECTORY/log.
"""

import ctypes
import json
import os
import select
import socket
import struct
import sys
import time

SHARED_MODE = 1001
SUCCESS = 1000
NEIGHBOUR = bytes.fromhex("0200000000aa")
WAIT = 60
ASK_AGAIN = 0.5


class PortOptions(ctypes.Structure):
    _fields_ = [("closed", ctypes.c_void_p), ("context", ctypes.c_void_p),
                ("tcp_backlog", ctypes.c_int), ("allow_unsealed_memory", ctypes.c_bool)]


class Statistics(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in
                ("frames_from_guests", "bytes_from_guests", "frames_to_guests", "bytes_to_guests")] + [
                    (name, ctypes.c_uint32) for name in ("ports", "tcp_flows", "udp_flows", "icmp_flows")
                ] + [("dropped", ctypes.c_uint64)]


LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Network:
    def __init__(self, library, directory, mac, forwards):
        self.vmnet = ctypes.CDLL(library)
        for name in ("vmnet_network_configuration_create", "vmnet_network_create"):
            getattr(self.vmnet, name).restype = ctypes.c_void_p
        config = ctypes.c_void_p(self.vmnet.vmnet_network_configuration_create(SHARED_MODE, None))
        self.log = open(f"{directory}/log", "w", encoding="utf-8", buffering=1)
        # kept, for the library keeps its address
        self.write_line = LogCallback(lambda context, level, line: self.log.write(f"{line.decode()}\n"))
        self.vmnet.vmnet_network_configuration_set_log_callback(config, self.write_line, None)
        self.configure(config, "set_state_directory", directory.encode())
        self.configure(config, "set_runtime_directory", directory.encode())
        self.configure(config, "add_dhcp_reservation", bytes.fromhex(mac.replace(":", "")), bytes(4))
        for internal, external in forwards:
            self.configure(config, "add_port_forwarding_rule", socket.IPPROTO_TCP, socket.AF_INET,
                           internal, external, None)
        self.network = ctypes.c_void_p(self.vmnet.vmnet_network_create(config, None))
        if not self.network:
            get_error = self.vmnet.vmnet_network_configuration_get_error
            get_error.restype = ctypes.c_char_p
            sys.exit(get_error(config).decode())
        self.vmnet.vmnet_network_configuration_release(config)
        ours, self.neighbour = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.attach("datagram", ours.detach(), PortOptions())

    def configure(self, config, name, *arguments):
        status = getattr(self.vmnet, f"vmnet_network_configuration_{name}")(config, *arguments)
        assert status == SUCCESS, (name, status)

    def attach(self, kind, fd, options):
        error = ctypes.create_string_buffer(512)
        port = ctypes.c_uint32()
        status = getattr(self.vmnet, f"vmnet_network_attach_{kind}_fd")(
            self.network, fd, ctypes.byref(options), ctypes.byref(port), error)
        assert status == SUCCESS, error.value

    def statistics(self):
        found = Statistics()
        self.vmnet.vmnet_network_get_statistics(self.network, ctypes.byref(found))
        return {name: getattr(found, name) for name, _ in Statistics._fields_}

    def subnet(self):
        address, mask = ctypes.create_string_buffer(4), ctypes.create_string_buffer(4)
        self.vmnet.vmnet_network_get_ipv4_subnet(self.network, address, mask)
        return address.raw

    def source(self):
        """An address of the subnet that nobody has."""
        return self.subnet()[:3] + b"\xc8"

    def receive(self, end):
        while (left := end - time.monotonic()) > 0:
            if select.select([self.neighbour], [], [], left)[0]:
                return self.neighbour.recv(65536)
        return None

    def arp(self, address, wait):
        target = socket.inet_aton(address)
        end = time.monotonic() + wait
        while time.monotonic() < end:
            self.neighbour.send(b"\xff" * 6 + NEIGHBOUR + struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
                                + NEIGHBOUR + self.source() + bytes(6) + target + bytes(18))
            again = min(end, time.monotonic() + ASK_AGAIN)
            while frame := self.receive(again):
                if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02" and frame[28:32] == target:
                    return frame[22:28].hex(":")
        return None

    def echo(self, mac, address, count, size):
        destination = bytes.fromhex(mac.replace(":", "")) + NEIGHBOUR + b"\x08\0"
        payload = bytes(i * 7 % 251 for i in range(size))
        came = set()
        sent = 0
        end = time.monotonic() + WAIT
        while len(came) < count:
            while sent < count and sent - len(came) < 64:
                icmp = struct.pack(">BBHHH", 8, 0, 0, 7, sent) + payload
                icmp = icmp[:2] + struct.pack(">H", checksum(icmp)) + icmp[4:]
                ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(icmp), sent, 0, 64, 1, 0) \
                    + self.source() + socket.inet_aton(address)
                ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
                self.neighbour.send(destination + ip + icmp)
                sent += 1
            frame = self.receive(end)
            if frame is None:
                break
            icmp = frame[34:42 + size]
            if frame[12:14] == b"\x08\0" and icmp[:1] == b"\0" and checksum(icmp) == 0 \
                    and icmp[8:] == payload:
                came.add(struct.unpack(">H", icmp[6:8])[0])
                end = time.monotonic() + WAIT
        return len(came)


def main():
    library, path, directory, mac = sys.argv[1:5]
    forwards = ((2, 8002), (80, 8080)) if "--forwards" in sys.argv else ()
    network = Network(library, directory, mac, forwards)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(4)
    network.attach("vhost_user", listener.detach(),
                   PortOptions(allow_unsealed_memory="--unsealed" in sys.argv))
    print("ready", flush=True)
    for line in sys.stdin:
        name, *words = line.split()
        if name == "stats":
            answer = network.statistics()
        elif name == "source":
            answer = socket.inet_ntoa(network.source())
        elif name == "arp":
            answer = network.arp(words[0], float(words[1]) if words[1:] else WAIT)
        else:
            answer = network.echo(words[0], words[1], int(words[2]), int(words[3]))
        print(json.dumps(answer), flush=True)
    network.vmnet.vmnet_network_release(network.network)
    os.unlink(path)


if __name__ == "__main__":
    main()
