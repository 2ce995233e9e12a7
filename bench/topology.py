"""What every engine is measured in:

     guest                 host                                 server
    +---------------+     +-------------------+                +----------------+
    | client probes |     | the engine        |                | server probes  |
    |  tap0 or g0 --|-----|                h0 |----------------| s0             |
    |               |     |  198.51.100.1/24  |                | 198.51.100.2/24|
    +---------------+     +-------------------+                +----------------+

With a delay, a fourth namespace stands between host and server, whose two cards are joined by
bench-relay:

     host h0 --- p0 [ bench-relay ] p1 --- s0 server

The namespaces are new for each engine and each group of rows. Everything outside has an MTU of 1500:
the world has; only the guest's own MTU varies.
"""

import contextlib
import copy
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile

from namespace import Namespace, join
from process import Failure, Process

HOST = "198.51.100.1"
SERVER = "198.51.100.2"
NETWORK = "198.51.100.0/24"
MAC = {"h0": "02:62:65:6e:63:01", "s0": "02:62:65:6e:63:02"}

# Debian 12's defaults, whatever this machine has, and what the probes need: room for many sockets,
# ping sockets for the engines. Ports below 10240 are the bench's own.
SYSCTLS = {
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
    "net.ipv4.ip_local_port_range": "10240 65535",
    "net.ipv4.ping_group_range": "0 2147483647",
}
CONGESTION = "cubic"  # Debian's default, too; a matter of routes here (Namespace.choose_congestion)
SHOWN = [*SYSCTLS, "net.core.rmem_default", "net.core.rmem_max",
         "net.core.wmem_max", "net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog",
         "net.ipv4.tcp_slow_start_after_idle"]

# Servers of the server namespace, and of the guest where a row goes through a forward.
PORTS = {"rr": 7100, "connect": 7200, "idle": 7300, "udp": 7400, "iperf3": 5201}
RELAY_LOSS = 0.001
FORWARD_PLUS = 1000  # what is forwarded is reached on the host at the port plus this


class Topology:
    def __init__(self, probes, delay_ms=0, congestion=None):
        self.probes = probes
        self.delay_ms = delay_ms
        self.congestion = congestion or CONGESTION
        self.guest = Namespace("guest")
        self.host = Namespace("host")
        self.server = Namespace("server")
        self.path = Namespace("path") if delay_ms else None
        self.all = [space for space in (self.guest, self.host, self.server, self.path) if space]
        self.processes = []
        self.relay = None
        self.index = 0  # of the guest, where there are several on one host
        self._scratch = []
        self._home = None

    def __enter__(self):
        try:
            self._create()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in reversed(self.processes):
            process.release()
        self.processes = []
        for namespace in self.all:
            namespace.destroy()
        for path in self._scratch:
            shutil.rmtree(path, ignore_errors=True)

    def _create(self):
        for namespace in self.all:
            namespace.create()
            self._set_sysctls(namespace)
        if self.path:
            join(self.host, "h0", self.path, "p0")
            join(self.path, "p1", self.server, "s0")
        else:
            join(self.host, "h0", self.server, "s0")
        for namespace, card, address in ((self.host, "h0", HOST), (self.server, "s0", SERVER)):
            namespace.ip(f"link set {card} address {MAC[card]}", f"address add {address}/24 dev {card}")
        # No ARP while measuring, and no IPv6 chatter on the path.
        self.host.ip(f"neighbour replace {SERVER} lladdr {MAC['s0']} dev h0")
        self.server.ip(f"neighbour replace {HOST} lladdr {MAC['h0']} dev s0")
        # Engines look for the interface of the default route.
        self.host.ip(f"route add default via {SERVER} dev h0")
        if self.path:
            self.relay = self.start(self.path, self.probes / "bench-relay", "p0", "p1",
                                    "--delay-ms", self.delay_ms / 2, "--limit", 120)
            self.relay.line(5)
        for namespace in (self.host, self.server):
            self.choose_congestion(namespace)
        with self.server.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind((SERVER, 0))
            listener.listen()
            with self.connection(self.host, listener.getsockname()[1]) as near, listener.accept()[0] as far:
                self.check_congestion(near, far)

    def choose_congestion(self, namespace):
        try:
            namespace.choose_congestion(self.congestion)
        except subprocess.CalledProcessError as error:
            offered = pathlib.Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(encoding="ascii").strip()
            raise Failure(f"the congestion control {self.congestion} cannot be had: this machine offers "
                          f"{offered}") from error

    def connection(self, namespace, port):
        """One from there to the server, which is known to be reachable."""
        made = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.settimeout(10)
            made.connect((SERVER, port))
        except OSError:
            made.close()
            raise
        return made

    def check_congestion(self, *connections):
        for connection in connections:
            found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
            if found != self.congestion:
                raise Failure(f"a connection between {connection.getsockname()[0]} and {connection.getpeername()[0]} "
                              f"has the congestion control {found}, not {self.congestion}")

    def guest_is_ready(self):
        """Its routes are there, and are for us to say what its own sockets do. The engine's own towards the server,
        where it has any, is looked at from outside."""
        self.choose_congestion(self.guest)
        with self.connection(self.guest, PORTS["rr"]) as connection:
            self.check_congestion(connection)
            shown = subprocess.run(self.host.argv("ss", "-HtniO", f"dst {SERVER}:{PORTS['rr']}"), check=True, text=True,
                                   stdout=subprocess.PIPE).stdout
        for line in shown.splitlines():
            if line.startswith("ESTAB") and self.congestion not in line.split():
                raise Failure(f"the engine's connection has not the congestion control {self.congestion}: {line}")

    def _set_sysctls(self, namespace):
        for name, value in SYSCTLS.items():
            if not namespace.sysctl(name, value):
                raise Failure(f"{name} cannot be set to \"{value}\" in a network namespace")
        namespace.sysctl("net.ipv6.conf.default.accept_dad", 0)
        namespace.sysctl("net.ipv6.conf.default.accept_ra", 0)
        # IPv4 is what is measured: no guest or cable wakes an engine up with IPv6 of its own accord.
        if namespace not in (self.host, self.server):
            namespace.sysctl("net.ipv6.conf.default.disable_ipv6", 1)

    def end_relay(self):
        """Ends the long path, and says if it was what limited."""
        self.relay.stop()
        for _ in range(2):
            counts = json.loads(self.relay.line(1))
            # A frame or two of the last connection's end do not matter.
            if counts["dropped"] + counts["refused"] > counts["passed"] * RELAY_LOSS:
                raise Failure(f"the path itself lost frames: {counts}")

    def scratch(self):
        """A new directory for an engine's files and sockets, on a short path; it goes with the topology."""
        path = pathlib.Path(tempfile.mkdtemp(prefix="tartlet-bench-"))
        self._scratch.append(path)
        return path

    def home(self):
        """The directory of the person whose engines these are: one for all guests."""
        if self._home is None:
            self._home = self.scratch()
        return self._home

    def another_guest(self, index):
        """The same host and server with one guest more."""
        self.home()
        other = copy.copy(self)
        other.index = index
        other.guest = Namespace(f"guest{index}")
        self.all.append(other.guest)
        other.guest.create()
        self._set_sysctls(other.guest)
        return other

    def start(self, namespace, *argv, **options):
        """A program that runs until the topology goes."""
        process = Process(namespace.argv(*argv), **options)
        self.processes.append(process)
        return process

    def serve(self, namespace, *names):
        """Starts servers and waits until they answer."""
        started = []
        for name in names:
            if name == "iperf3":
                started.append(self.start(namespace, "iperf3", "-s", "-p", PORTS[name], "--forceflush"))
            else:
                started.append(self.start(namespace, self.probes / f"bench-{name}", "--server",
                                          "--port", PORTS[name], "--limit", 300))
        for name, process in zip(names, started):
            while name == "iperf3" and "listening" not in process.line(5):
                pass
            if name != "iperf3":
                process.line(5)


def sysctls_in_force(probes, congestion=None):
    """What a namespace of the bench has, for the report."""
    with Topology(probes, congestion=congestion) as topology:
        found = {name: topology.guest.read_sysctl(name) for name in SHOWN}
        found["congestion control of the sockets"] = topology.congestion  # or there were no topology
    with contextlib.suppress(OSError), open("/proc/sys/net/ipv4/tcp_congestion_control",
                                            encoding="ascii") as file:
        found["tcp_congestion_control of the machine"] = file.read().strip()
    return found
