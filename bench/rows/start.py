"""How long it takes until the guest reaches the outside, and what the engine then is while nothing
happens."""

from rows import idle
from rows.row import LESS, Group, Row


class Start(Group):
    name = "start"
    rows = [
        Row("start-ready", "start", "from start to the guest's first connection", "ms", LESS),
        Row("memory-idle-anon", "memory", "private memory, idle", "MB", LESS),
        Row("memory-idle-pss", "memory", "PSS, idle", "MB", LESS),
        Row("idle-wakeups", "wakeups", "wake-ups, idle", "1/s", LESS),
    ]
    quick = tuple(row.name for row in rows)

    def measure(self, place):
        yield "start-ready", place.running.ready_ms
        if place.running.pids():
            found = idle.at_rest(place.running.pids(), place.durations.idle)
            yield "memory-idle-anon", found["anon"]
            yield "memory-idle-pss", found["pss"]
            yield "idle-wakeups", found["wakeups"]


GROUPS = [Start()]
