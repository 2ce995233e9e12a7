"""Rows and groups. A row is a figure of the reports; a group is what is measured in one topology."""

import dataclasses

from engines import engine as engine_module

MORE, LESS = "more", "less"


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    family: str
    title: str
    unit: str
    better: str = MORE


@dataclasses.dataclass
class Durations:
    """How long the parts last, in seconds."""
    bulk: float = 3.0
    latency: float = 1.5
    ramp: float = 0.5        # of a bulk flow, before something is measured beside it
    connect: float = 1.5
    udp: float = 0.5
    udp_fixed: float = 1.0
    long_path: float = 6.0
    idle: float = 3.0


QUICK = Durations(bulk=1.0, latency=0.3, ramp=0.15, connect=0.5, udp=0.2, udp_fixed=0.3, long_path=2.0,
                  idle=0.6)


@dataclasses.dataclass
class Place:
    """Where a group measures: a topology with the engine at work in it."""
    topology: object
    engine: object
    running: object
    durations: Durations
    wanted: frozenset

    def wants(self, *names):
        return any(name in self.wanted for name in names)


class Group:
    """The subclasses say what they need and measure."""

    name = ""
    kind = "netns"           # of the engines that it measures
    rows = ()
    mtu = 1500
    delay_ms = 0
    servers = ("rr",)        # in the server namespace; "rr" is asked for readiness
    guest_servers = ()       # in the guest, reached through forwards
    quick = ()               # names of the rows that are part of --quick

    def forwards(self):
        return ()

    def fits(self, engine):
        return engine.kind == self.kind and self.mtu <= engine.mtu_max

    def run(self, engine, place):
        """The engine at work, as a context."""
        return engine_module.run(engine, place, self.mtu, self.forwards())

    def measure(self, place):
        """Gives (row name, value) as they come, so that what was measured before a failure stays."""
        raise NotImplementedError
