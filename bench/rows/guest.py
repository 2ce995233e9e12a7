"""A real guest under QEMU: how soon it is reached, and its network both ways."""

import process
import topology
from engines import agent, qemu
from rows import connect, idle, iperf3, latency
from rows.row import LESS, Group, Row

WAYS = ("up", "down")


class Guest(Group):
    kind = "vm"
    servers = ("rr", "iperf3")

    def __init__(self, mtu):
        self.mtu = mtu
        self.name = f"vm-{mtu}"
        self.rows = []
        for flows in (1, 8):
            for way in WAYS:
                mark = f"{way}-{flows}-mtu{mtu}"
                said = f"guest's TCP {way}, {flows} flow{'s' if flows > 1 else ''}, MTU {mtu}"
                self.rows.append(Row(f"vm-tcp-{mark}", "vm-tcp", said, "Gbit/s"))
                if flows == 1:
                    self.rows += [
                        Row(f"vm-cpu-{mark}", "vm-cpu", f"engine CPU, {said}", "s/GB", LESS),
                        Row(f"vm-cpu-all-{mark}", "vm-cpu", f"CPU of engine and QEMU, {said}", "s/GB", LESS),
                    ]
        if mtu == 1500:
            self.rows += [
                Row("vm-first-byte", "vm-start", "from start to the first byte through a forward", "ms", LESS),
                Row("vm-memory-idle-anon", "vm-memory", "private memory of the engine, guest idle", "MB", LESS),
                Row("vm-memory-idle-pss", "vm-memory", "PSS of the engine, guest idle", "MB", LESS),
                Row("vm-connect-rate", "vm-connect", "connections through a forward to the guest, one at a time",
                    "1/s"),
                Row("vm-forward-in", "vm-tcp", "TCP through a forward to the guest, 1 flow, MTU 1500", "Gbit/s"),
                *(Row(f"vm-rr-{protocol}-{share}", "vm-latency",
                      f"{protocol.upper()} request and response through a forward, {share}", "us", LESS)
                  for protocol in ("tcp", "udp") for share in ("p50", "p99")),
            ]

    def run(self, engine, place):
        return qemu.run(engine, place, self.mtu)

    def measure(self, place):
        if self.mtu == 1500:
            yield "vm-first-byte", place.running.ready_ms
            if place.wants("vm-memory-idle-anon", "vm-memory-idle-pss") and place.running.pids():
                found = idle.at_rest(place.running.pids(), place.durations.idle)
                yield "vm-memory-idle-anon", found["anon"]
                yield "vm-memory-idle-pss", found["pss"]
        for flows in (1, 8):
            for way in WAYS:
                yield from self._bulk(place, way, flows)
        if self.mtu == 1500:
            yield from self._through_forwards(place)

    def _bulk(self, place, way, flows):
        mark = f"{way}-{flows}-mtu{self.mtu}"
        if not place.wants(f"vm-tcp-{mark}", f"vm-cpu-{mark}", f"vm-cpu-all-{mark}"):
            return
        engine, everything = place.running.pids(), place.running.all_pids()
        before = process.cpu_seconds(engine), process.cpu_seconds(everything)
        words = iperf3.words(topology.SERVER, topology.PORTS["iperf3"], place.durations.bulk, flows, way == "down")
        text = place.running.agent.ask(" ".join(map(str, words)), place.durations.bulk + 20)
        spent = process.cpu_seconds(engine) - before[0], process.cpu_seconds(everything) - before[1]
        found = iperf3.read(text, spent[0])
        yield f"vm-tcp-{mark}", found["gbit"]
        if engine:
            yield f"vm-cpu-{mark}", found["cpu"]
        yield f"vm-cpu-all-{mark}", iperf3.read(text, spent[1])["cpu"]

    @staticmethod
    def _through_forwards(place):
        if place.wants("vm-connect-rate"):
            found = connect.ask(place, place.topology.server, topology.HOST,
                                agent.ECHO_PORT + topology.FORWARD_PLUS, 1)
            yield "vm-connect-rate", found["per_second"]
        if place.wants("vm-forward-in"):
            found = iperf3.bulk(place.topology.server, topology.HOST,
                                topology.PORTS["iperf3"] + topology.FORWARD_PLUS, place.durations.bulk)
            yield "vm-forward-in", found["gbit"]
        for protocol in ("tcp", "udp"):
            names = [f"vm-rr-{protocol}-p50", f"vm-rr-{protocol}-p99"]
            if place.wants(*names):
                argv = [place.topology.probes / "bench-rr", topology.HOST, "--port",
                        agent.ECHO_PORT + topology.FORWARD_PLUS, "--seconds", place.durations.latency]
                found = latency.answered(process.ask(
                    place.topology.server.argv(*argv, *(["--udp"] if protocol == "udp" else [])),
                    place.durations.latency + 6))
                yield names[0], found["p50_us"]
                yield names[1], found["p99_us"]


GROUPS = [Guest(mtu) for mtu in (1500, 9000, 65520)]
