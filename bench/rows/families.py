"""The titles of the families of rows: one chart each."""

TITLES = {
    "start": "Start of a network",
    "memory": "Memory of the engine",
    "wakeups": "Wake-ups of an engine at rest",
    "tcp": "TCP throughput",
    "cpu": "Engine CPU per GB",
    "fairness": "Fairness among 8 flows",
    "latency": "Request and response",
    "load": "The bulk flow beside request and response",
    "idle-opened": "Idle connections that could be opened",
    "idle-cpu": "Engine CPU with idle flows",
    "connect": "Connections per second",
    "connect-time": "Time of a short connection",
    "connect-failed": "Short connections that failed",
    "tcp-forward": "TCP through a forward",
    "udp": "Highest UDP rate with 1 % loss or less",
    "udp-loss": "UDP loss at fixed rates",
    "path": "TCP over a path of 50 ms",
    "many": "Start of 100 networks",
    "many-memory": "Memory of one of 100 networks",
    "many-cpu": "CPU of 100 networks at rest",
    "many-wakeups": "Wake-ups of one of 100 networks",
    "vm-tcp": "TCP throughput of a guest under QEMU",
    "vm-cpu": "CPU per GB with a guest under QEMU",
    "vm-start": "Start of a guest under QEMU",
    "vm-memory": "Memory of the engine of a guest under QEMU",
    "vm-connect": "Connections per second to a guest under QEMU",
    "vm-latency": "Request and response with a guest under QEMU",
    "instructions": "Instructions of the engine",
    "instructions-byte": "Instructions of the engine per byte",
    "instructions-frame": "Instructions of the engine per frame",
    "syscalls": "System calls of the engine",
    "syscalls-bulk": "System calls of the engine per GB",
    "perf": "Instructions of the engine and the kernel",
    "perf-bulk": "Instructions of the engine and the kernel per GB",
}


def title(family):
    return TITLES.get(family, family)
