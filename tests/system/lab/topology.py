"""The lab:

     host                        router_a                     server
    +-----------------+         +-----------------+          +------------------+
    | tartlet, QEMU   |         |                 |          | DNS, echo, bytes |
    |      a0         |---------| h0          s0  |----------| a0               |
    |  203.0.113.2/24 |         | .1   198.51.100.1/25       |  198.51.100.2/25 |
    |  203.0.113.3    |         | 2001:db8:a::1   |          |                  |
    |  2001:db8:a::2  |         +-----------------+          |                  |
    |                 |          router_b                    |                  |
    |                 |         +-----------------+          |                  |
    |      b0         |---------| h0          s0  |----------| b0               |
    |  192.0.2.2/24   |         | .1   198.51.100.129/25     |  198.51.100.130  |
    +-----------------+         +-----------------+          +------------------+

The host's default route goes by router_a; the test of a new default route moves it to router_b. The
server has one address more, SERVICE, which both routers reach, so that a service stays where it is when
the host's way to it changes; it answers by the way that the question came.
"""

import contextlib

from . import netns, sysctls

HOST = "203.0.113.2"
HOST_SECOND = "203.0.113.3"
HOST6 = "2001:db8:a::2"
HOST_B = "192.0.2.2"
ROUTER_A = "203.0.113.1"
ROUTER_B = "192.0.2.1"
SERVER = "198.51.100.2"
SERVER6 = "2001:db8:5::2"
SERVICE = "198.51.100.200"
UNREACHABLE = "198.51.100.250"
SILENT = ["198.51.100.248", "198.51.100.249"]
METADATA = "169.254.169.254"


class Topology:
    def __init__(self):
        self.host = netns.Namespace("host")
        self.router_a = netns.Namespace("router-a")
        self.router_b = netns.Namespace("router-b")
        self.server = netns.Namespace("server")
        self.all = [self.host, self.router_a, self.router_b, self.server]

    def create(self):
        netns.sweep()
        for namespace in self.all:
            namespace.create()
            for name, value in sysctls.DEBIAN.items():
                namespace.sysctl(name, value)
            # No duplicate address detection: an address is to be usable at once.
            namespace.sysctl("net.ipv6.conf.all.accept_dad", 0)
            namespace.sysctl("net.ipv6.conf.default.accept_dad", 0)
        for router, card in ((self.router_a, "a0"), (self.router_b, "b0")):
            netns.join(self.host, card, router, "h0")
            netns.join(router, "s0", self.server, card)
            router.sysctl("net.ipv4.ip_forward", 1)
            router.sysctl("net.ipv6.conf.all.forwarding", 1)
            # A traceroute asks faster than routers usually complain.
            router.sysctl("net.ipv4.icmp_ratelimit", 0)
        self.server.sysctl("net.ipv4.icmp_ratelimit", 0)
        self._host_addresses()
        self._router_addresses()
        self._server_addresses()
        # Closed in every new namespace, also to root.
        self.host.sysctl("net.ipv4.ping_group_range", "0 2147483647")

    def destroy(self):
        for namespace in self.all:
            namespace.destroy()

    def _host_addresses(self):
        self.host.ip(f"address add {HOST}/24 dev a0")
        self.host.ip(f"address add {HOST_SECOND}/24 dev a0")
        self.host.ip(f"address add {HOST_B}/24 dev b0")
        self.uplink_a_again()

    def uplink_a_again(self):
        """Also after its cable was out, which takes routes and IPv6 addresses away."""
        self.host.ip("link set a0 up")
        self.host.ip(f"address replace {HOST6}/64 dev a0 nodad")
        self.host.ip("-6 route replace default via 2001:db8:a::1 dev a0")
        self.default_by_a()

    def default_by_a(self, options=""):
        self.host.ip(f"route replace default via {ROUTER_A} dev a0 {options}")

    def default_by_b(self):
        self.host.ip(f"route replace default via {ROUTER_B} dev b0")

    def _router_addresses(self):
        self.router_a.ip(f"address add {ROUTER_A}/24 dev h0")
        self.router_a.ip("address add 2001:db8:a::1/64 dev h0 nodad")
        self.router_a.ip("address add 198.51.100.1/25 dev s0")
        self.router_a.ip("address add 2001:db8:5::1/64 dev s0 nodad")
        self.router_a.ip(f"route add {SERVICE}/32 via {SERVER} dev s0")
        self.router_a.ip(f"route add unreachable {UNREACHABLE}/32")
        for address in SILENT:
            self.router_a.ip(f"route add blackhole {address}/32")
        self.router_a.ip(f"route add {METADATA}/32 via {SERVER} dev s0")
        self.router_b.ip(f"address add {ROUTER_B}/24 dev h0")
        self.router_b.ip("address add 198.51.100.129/25 dev s0")
        self.router_b.ip(f"route add {SERVICE}/32 via 198.51.100.130 dev s0")

    def _server_addresses(self):
        self.server.ip(f"address add {SERVER}/25 dev a0")
        self.server.ip(f"address add {SERVER6}/64 dev a0 nodad")
        self.server.ip("address add 198.51.100.130/25 dev b0")
        self.server.ip(f"address add {SERVICE}/32 dev lo")
        self.server.ip(f"address add {METADATA}/32 dev lo")
        self._server_to_host()
        self.server.ip("route add 192.0.2.0/24 via 198.51.100.129 dev b0")
        self.server.ip("-6 route add default via 2001:db8:5::1 dev a0")

    def _server_to_host(self, options=""):
        self.server.ip(f"route replace 203.0.113.0/24 via 198.51.100.1 dev a0 {options}")

    @contextlib.contextmanager
    def congestion_control(self, name):
        """What sockets of host and server have towards each other by router_a, if they do not choose; None is
        the namespaces' own. By their routes: a namespace's sysctl takes only what the machine lives by
        (net.ipv4.tcp_allowed_congestion_control), a route whatever it offers."""
        options = f"congctl {name}" if name else ""
        self.default_by_a(options)
        self._server_to_host(options)
        try:
            yield
        finally:
            self.default_by_a()
            self._server_to_host()
