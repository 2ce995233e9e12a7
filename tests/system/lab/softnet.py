"""The sidecar with a VM of ours: frames by its socket, rules by the control channel."""

import errno
import json
import os
import pathlib
import select
import socket
import subprocess
import time

from scapy.all import ARP, BOOTP, DHCP, IP, TCP, UDP, Ether, IPv6, Raw

from . import vm_ends

MAC = "02:00:00:00:00:01"
TIMEOUT = 60


class Softnet:
    """The program in a namespace. Frames are scapy's; what the VM gets stays queued until it is looked at."""

    def __init__(self, program, namespace, runtime, *options, control=True, wrapper=(), before=(), passed=(),
                 attach="datagram", vm_end=None):
        """wrapper: what starts the program; before: arguments in front of all others; vm_end: the other end of a
        socket that somebody else looks after."""
        self.vm = None if vm_end else vm_ends.KINDS[attach](pathlib.Path(runtime))
        theirs = vm_end or self.vm.theirs
        report, report_end = os.pipe()
        passed = [theirs.fileno(), report_end, *passed]
        argv = [program, *before, "--vm-fd", theirs.fileno(), "--vm-mac-address", MAC, "--report-fd", report_end,
                "--state-directory", pathlib.Path(runtime) / "state", "--runtime-directory",
                pathlib.Path(runtime) / "softnet"]
        if attach != "datagram":  # which is the default
            argv += ["--attach", attach]
        (pathlib.Path(runtime) / "softnet").mkdir(mode=0o700, exist_ok=True)
        self.control = self.answers = None
        if control:
            self.control, control_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            self.control.settimeout(TIMEOUT)
            self.answers = self.control.makefile("rb")
            argv += ["--control-fd", control_end.fileno()]
            passed.append(control_end.fileno())
        self.process = subprocess.Popen(namespace.argv(*wrapper, *argv, *options), pass_fds=passed,
                                        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        theirs.close()
        os.close(report_end)
        if control:
            control_end.close()
        with open(report, encoding="utf-8") as stream:
            line = stream.readline()
        if not line:
            raise AssertionError(f"softnet did not start: {self.process.communicate(timeout=TIMEOUT)[1]}")
        self.report = json.loads(line)
        if self.vm:
            self.vm.begin()
        self.address, self.gateway = self.report["address"], self.report["gateway"]
        self.gateway_mac = None
        self.requests = 0

    def end(self):
        """Its exit code and what it said."""
        if self.process.poll() is None:
            self.process.terminate()
        said = self.process.communicate(timeout=TIMEOUT)[1]
        if self.vm:
            self.vm.close()
        self.close_control()
        return self.process.returncode, said

    def engine(self):
        """The process that sees the VM, its first process's only child."""
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        assert len(children) == 1
        return int(children[0])

    # --- frames -----------------------------------------------------------------------------------

    def send(self, frame):
        self.vm.send(bytes(frame))

    def send_any(self, frame):
        """Also one that is longer than the program takes at once."""
        data = bytes(frame)
        try:
            self.vm.send(data)
        except OSError as problem:
            assert problem.errno == errno.EMSGSIZE, problem  # then it cannot arrive

    def receive(self, wanted, timeout=TIMEOUT):
        """The next frame that is wanted; what came before it is gone. None: there was none in time."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0 and select.select([self.vm], [], [], left)[0]:
            frame = Ether(self.vm.recv(65536 + 64))
            if wanted(frame):
                return frame
        return None

    def collect(self, last, timeout=TIMEOUT):
        """All frames up to the one that is the last, without it."""
        frames = []
        assert self.receive(lambda frame: last(frame) or frames.append(frame), timeout), "the last one did not come"
        return frames

    def settle(self):
        """Two questions to the gateway, answered: what was sent before them has gone where it goes. What else has
        come meanwhile."""
        frames = []
        for _ in range(2):
            self.send(Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=MAC, psrc=self.address, pdst=self.gateway))
            frames += self.collect(lambda frame: ARP in frame and frame[ARP].op == 2)
        return frames

    def dhcp(self, kind, *options, ether=None, ip=None, udp=None, **fields):
        """A message of the client as a frame; each layer's fields may be others."""
        return (Ether(**{"src": MAC, "dst": "ff:ff:ff:ff:ff:ff"} | (ether or {})) /
                IP(**{"src": "0.0.0.0", "dst": "255.255.255.255"} | (ip or {})) /
                UDP(**{"sport": 68, "dport": 67} | (udp or {})) /
                BOOTP(**{"chaddr": bytes.fromhex(MAC.replace(":", "")), "xid": 7} | fields) /
                DHCP(options=[("message-type", kind), *options, "end"]))

    def lease(self):
        """By DHCP; what the answer offers, by name."""
        def ask(kind, *options):
            self.send(self.dhcp(kind, *options))
            return self.receive(lambda frame: DHCP in frame)

        offer = ask("discover")
        answer = ask("request", ("requested_addr", offer[BOOTP].yiaddr), ("server_id", offer[IP].src))
        self.gateway_mac = answer.src
        assert answer[BOOTP].yiaddr == self.address
        return {option[0]: option[1:] for option in answer[DHCP].options if isinstance(option, tuple)}

    def ip(self, destination, **fields):
        return Ether(src=MAC, dst=self.gateway_mac) / IP(**{"src": self.address, "dst": destination} | fields)

    def ip6(self, destination, **fields):
        return Ether(src=MAC, dst=self.gateway_mac) / IPv6(src="2001:db8:5::77", dst=destination, **fields)

    def tcp(self, destination, port, source_port):
        """What a SYN is answered by: "SA", "RA", or None."""
        self.send(self.ip(destination) / TCP(sport=source_port, dport=port, flags="S", seq=1000))
        got = self.receive(lambda frame: TCP in frame and frame[TCP].dport == source_port)
        return got and str(got[TCP].flags)

    def udp(self, destination, port, payload, source_port=1000):
        self.send(self.ip(destination) / UDP(sport=source_port, dport=port) / Raw(payload))

    # --- rules ------------------------------------------------------------------------------------

    def ask(self, method, **params):
        """The whole answer of the control channel."""
        self.requests += 1
        request = {"jsonrpc": "2.0", "id": self.requests, "method": method}
        if params:
            request["params"] = params
        return self.say(json.dumps(request))

    def say(self, line):
        """A line of text or bytes; the answer to it."""
        self.control.sendall((line.encode() if isinstance(line, str) else line) + b"\n")
        return self.heard()

    def heard(self):
        return json.loads(self.answers.readline())

    def close_control(self):
        if self.control:
            self.answers.close()
            self.control.close()
            self.control = self.answers = None

    # --- what the program holds -------------------------------------------------------------------

    def pids(self):
        """The program's processes: the sandbox may be a child of the one that was started."""
        found = [self.process.pid]
        for pid in found:
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found

    def memory(self):
        """Bytes of their own."""
        texts = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in self.pids()]
        return sum(int(text.partition("RssAnon:")[2].split()[0]) * 1024 for text in texts)

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())
