"""The guest, as seen through its control service (tools/guest/guest-agent.c)."""

import contextlib
import re
import socket
import subprocess
import threading
import time

from .waiting import until

END = re.compile(rb"\0exit (\d+)\n$")


class GuestAgent:
    """Runs commands in the guest through a forwarded port."""

    def __init__(self, namespace, address, port):
        self.namespace = namespace
        self.address = address
        self.port = port
        self.asked = 0  # connections that the guest has seen of us

    def ask(self, command, timeout=150):
        """Exit code and output of a command. OSError when the guest does not answer."""
        assert "\n" not in command
        output = bytearray()
        with self.namespace.connect(self.address, self.port, timeout) as connection:
            connection.sendall(command.encode() + b"\n")
            end = time.monotonic() + timeout
            while piece := connection.recv(65536):
                output += piece
                if time.monotonic() > end:
                    raise TimeoutError(f"{command}: no end within {timeout} s")
        self.asked += 1
        return self.judge(command, output)

    @staticmethod
    def judge(command, output):
        found = END.search(output)
        if found is None:
            raise ConnectionResetError(f"{command}: ended early after {bytes(output)!r}")
        return int(found.group(1)), output[:found.start()].decode(errors="replace")

    def run(self, command, timeout=150, expect=0):
        code, output = self.ask(command, timeout)
        assert code == expect, f"in the guest: {command}: exit code {code}\n{output}"
        return output.strip()

    def tell(self, command):
        """Starts a command that may take this very connection down, such as reboot."""
        assert "'" not in command
        with contextlib.suppress(OSError):
            self.ask(f"setsid sh -c '{command}' >/dev/null 2>&1 &", timeout=60)

    def is_up(self, other=""):
        """Whether it answers and has done with its network: its first word may come before it has a route, a
        name server and a name. OTHER is asked as well."""
        try:
            return self.ask(f"test -s /run/lease{other}", timeout=15)[0] == 0
        except OSError:
            return False

    def wait(self, timeout=180):
        """Waits until the guest is up. tartlet holds a connection until the guest is there."""
        until(self.is_up, timeout, "the guest is up")
        return self

    def uptime(self):
        return float(self.run("cat /proc/uptime").split()[0])

    def lease(self):
        """What the DHCP client of the guest learned, by name."""
        return dict(line.split("=", 1) for line in self.run("cat /run/lease").splitlines())


class TunnelledAgent(GuestAgent):
    """The same through `tartlet nc`, for a guest that no port of the host leads to."""

    def __init__(self, tartlet, name, port=2):
        super().__init__(tartlet.namespace, name, port)
        self.tartlet = tartlet

    def ask(self, command, timeout=150):
        """Standard input stays open: its end would end the command."""
        assert "\n" not in command
        with subprocess.Popen(self.tartlet.argv("nc", self.address, self.port), env=self.tartlet.environment,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tunnel:
            watchdog = threading.Timer(timeout, tunnel.kill)
            watchdog.start()
            with contextlib.suppress(BrokenPipeError):
                tunnel.stdin.write(command.encode() + b"\n")
                tunnel.stdin.flush()
            output = tunnel.stdout.read()
            with contextlib.suppress(BrokenPipeError):
                tunnel.stdin.close()
            errors = tunnel.stderr.read().decode()
            watchdog.cancel()
        if tunnel.returncode != 0:
            raise ConnectionError(f"{command}: {errors or f'no end within {timeout} s'}")
        self.asked += 1
        return self.judge(command, output)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ask(client, address, port, question=b"hello", timeout=60, again=1):
    """Sends a UDP datagram by a socket of the caller's; the answer and whom it came from. Asked again where
    nothing comes for AGAIN seconds, so answers may come twice."""
    client.settimeout(again)
    end = time.monotonic() + timeout
    while True:
        client.sendto(question, (address, port))
        try:
            answer, peer = client.recvfrom(65536)
            return answer, peer[:2]
        except TimeoutError:
            if time.monotonic() > end:
                raise


def answers(namespace, address, port, question=b"hello", timeout=60, again=1):
    """The same by a socket of its own."""
    with namespace.socket(family(address), socket.SOCK_DGRAM) as client:
        return ask(client, address, port, question, timeout, again)
