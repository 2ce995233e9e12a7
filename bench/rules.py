"""Rules as a careful owner of many would write them, to measure what they cost: whole networks are blocked, some of
what is in them is allowed again, single services last and most specific."""

import ipaddress

COUNT = 1000
FIRST_BLOCKED = ipaddress.ip_address("11.0.0.0")
PORTS = [22, 53, 80, 443, 8080]


def mix(server, count=COUNT):
    """(allow, block), `count` rules together, by which `server` is reached."""
    block = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "in 0.0.0.0/0:22"]
    allow = []
    for number in range(count - len(block) - 4):
        network = FIRST_BLOCKED + 65536 * (number // 2)
        kind = number % 10
        if kind % 2 == 0:
            block.append(f"{network}/16")
        elif kind in (1, 5):
            allow.append(f"{network + 256 * kind}/24")
        elif kind in (3, 7):
            allow.append(f"{network + 256 * kind + 7}/32:{PORTS[number // 10 % len(PORTS)]}")
        else:
            block.append(f"out {network + 256 * kind + 9}/32:1024-65535")
    around = [str(ipaddress.ip_network(f"{server}/{length}", strict=False)) for length in (8, 16, 24)]
    block += around
    allow.append(f"{server}/32")
    return allow, block
