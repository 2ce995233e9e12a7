"""Many networks at once on one host, each in processes of its own."""

import time

import process
from engines import engine as engine_module
from rows import idle
from rows.row import LESS, Group, Row

COUNT = 100


class Many(Group):
    name = "many"
    rows = [
        Row("many-ready", "many", f"{COUNT} networks: from the first start until all guests connect", "s", LESS),
        Row("many-pss", "many-memory", f"{COUNT} networks: PSS of one", "MB", LESS),
        Row("many-cpu", "many-cpu", f"{COUNT} networks at rest: engine CPU", "ms/s", LESS),
        Row("many-wakeups", "many-wakeups", f"{COUNT} networks at rest: wake-ups of one", "1/s", LESS),
    ]

    def measure(self, place):
        """The engine of the group's own guest is the first."""
        others = [place.topology.another_guest(index) for index in range(1, COUNT)]
        started = time.monotonic()
        running = []
        try:
            for other in others:
                running.append(place.engine.start(other, self.mtu))
            for one, other in zip(running, others):
                engine_module.wait_ready(one, other, started, COUNT * 0.5)
            yield "many-ready", time.monotonic() - started
            pids = [pid for one in running for pid in one.pids()]
            if pids:
                found = idle.at_rest(pids, place.durations.idle)
                yield "many-pss", found["pss"] / len(running)
                yield "many-cpu", found["cpu"] * COUNT / len(running)
                yield "many-wakeups", found["wakeups"] / len(running)
        except process.Failure as error:
            raise process.Failure(f"{len(running)} of {COUNT - 1} more networks: {error}") from error
        finally:
            for one in running:
                one.stop()


GROUPS = [Many()]
