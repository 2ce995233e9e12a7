"""What the benchmark must reach against its peers, and whether it does.

The bars of the project for a network namespace on a TAP and for a guest under QEMU. A bar names the row,
what our value is divided by, and the bound; docs/performance.md keeps the table for people.
"""

import dataclasses

import figures

PEERS = ("pasta", "pasta-new", "slirp4netns", "gvproxy")
PASTAS = ("pasta", "pasta-new")
OURS = "ours"
OURS_VHOST_USER = "ours-vhost-user"
OURS_VM = "qemu-ours-vhost-user"
# bench/instructions: the network in a fake world, without rules and with them.
SCENARIO = "scenario"
SCENARIO_RULES = "scenario-rules"
RULES_MOST = 1.05

REACHED, MISSED, UNKNOWN = "reached", "missed", "not measured"


@dataclasses.dataclass(frozen=True)
class Bar:
    """Our value of `row` against a reference, which is the best of the engines of `against` in their row."""
    what: str
    row: str
    bound: float
    at_least: bool = True          # else at most
    against: tuple = ()            # no engines: the value itself
    against_row: str = ""          # "": the same row
    ours: str = OURS


@dataclasses.dataclass(frozen=True)
class Verdict:
    bar: object
    value: object   # the ratio, or the value itself; None
    state: str


def _bulk():
    for way in ("up", "down"):
        row = f"tcp-{way}-1-mtu1500"
        yield Bar(f"TCP {way}, MTU 1500: 0.6 x kernel", row, 0.6, against=("kernel",))
        yield Bar(f"TCP {way}, MTU 1500: 8 x pasta", row, 8, against=PASTAS)
        yield Bar(f"TCP {way}, MTU 1500: 4 x slirp4netns", row, 4, against=("slirp4netns",))
        yield Bar(f"TCP {way}, MTU 65520: 1.0 x the best peer", f"tcp-{way}-1-mtu65520", 1, against=PEERS)
        for mtu in (1500, 9000, 65520):
            yield Bar(f"fairness of 8 flows {way}, MTU {mtu}: 0.9", f"fair-{way}-8-mtu{mtu}", 0.9)
        for slow, fast in (("ours-kept", "ours-peek"), ("ours-peek", "ours-kept")):
            yield Bar(f"TCP {way}, MTU 1500, {slow}: 0.7 x {fast}", row, 0.7, against=(fast,), ours=slow)
    yield Bar("engine CPU down, MTU 1500: at most pasta's at MTU 65520", "cpu-down-1-mtu1500", 1, False, PASTAS,
              "cpu-down-1-mtu65520")
    yield Bar("engine CPU up, MTU 1500: at most 0.92 x pasta's down at MTU 65520 (0.6 s where that takes 0.65)",
              "cpu-up-1-mtu1500", 0.6 / 0.65, False, PASTAS, "cpu-down-1-mtu65520")


def _rest():
    yield Bar("connections a second: 1.5 x the better of pasta and slirp4netns", "connect-rate-1", 1.5,
              against=(*PASTAS, "slirp4netns"))
    for way in ("up", "down"):
        yield Bar(f"UDP {way}, 1400 B at 60,000 a second: under 1 % loss", f"udp-loss-{way}-1400-60k", 1, False)
        yield Bar(f"UDP {way}, 1400 B, highest rate with 1 % loss: 0.6 x kernel", f"udp-max-{way}-1400", 0.6,
                  against=("kernel",))
    yield Bar("system calls of a short connection on a TAP: 26", "syscalls-connection", 26, False)
    yield Bar("system calls of a short connection on vhost-user: 15", "syscalls-connection", 15, False,
              ours=OURS_VHOST_USER)
    for protocol in ("tcp", "udp"):
        yield Bar(f"{protocol.upper()} request and response beside 10,000 idle flows: within 1.2 x",
                  f"rr-{protocol}-p50-10k", 1.2, False, (OURS,), f"rr-{protocol}-p50")
    yield Bar("engine CPU with 10,000 idle flows: none (1 ms/s)", "idle-cpu-10k", 1, False)
    yield Bar("50 ms path, upload: 0.8 x kernel", "path50-up", 0.8, against=("kernel",))
    yield Bar("wake-ups of an idle network: less than one a second", "idle-wakeups", 1, False)
    yield Bar("private memory of an idle network: 2 MB", "memory-idle-anon", 2, False)
    yield Bar("PSS of an idle network: 6 MB", "memory-idle-pss", 6, False)
    for way in ("up", "down"):
        row = f"vm-tcp-{way}-1-mtu1500"
        yield Bar(f"guest's TCP {way}, MTU 1500: 1.8 x passt by vhost-user", row, 1.8,
                  against=("qemu-passt-vhost-user",), ours=OURS_VM)
        yield Bar(f"guest's TCP {way}, MTU 1500: 0.9 x passt by vhost-user at MTU 65520", row, 0.9,
                  against=("qemu-passt-vhost-user",), against_row=f"vm-tcp-{way}-1-mtu65520", ours=OURS_VM)
        yield Bar(f"guest's TCP {way}, MTU 1500: 3 x QEMU's user networking", row, 3, against=("qemu-user",),
                  ours=OURS_VM)


def _rules():
    for row, said in (("up-mtu1500-frame", "a frame, up"), ("down-kept-mtu1500-frame", "a frame, down"),
                      ("down-peek-mtu1500-frame", "a frame, down by peek"), ("connection", "a short connection"),
                      ("datagram", "a question and its answer")):
        yield Bar(f"instructions with 1,000 rules, {said}: 1.05 x without", f"instr-{row}", RULES_MOST, False,
                  (SCENARIO,), ours=SCENARIO_RULES)


BARS = [*_bulk(), *_rest(), *_rules()]


def judge(results, bar):
    value = results.median(bar.row, bar.ours)
    if value is not None and bar.against:
        row = bar.against_row or bar.row
        known = [found for engine in bar.against if (found := results.median(row, engine)) is not None]
        more = results.rows[row]["better"] == "more" if row in results.rows else True
        reference = (max if more else min)(known) if known else None
        value = figures.ratio(value, reference)
    if value is None:
        return Verdict(bar, None, UNKNOWN)
    good = value >= bar.bound if bar.at_least else value <= bar.bound
    return Verdict(bar, value, REACHED if good else MISSED)


def _in_most_rounds(results, protocol, peer):
    """p50 at most 0.95 x the peer's in four of five rounds."""
    row = f"rr-{protocol}-p50"
    ours, theirs = results.of(row, OURS), results.of(row, peer)
    bar = Bar(f"{protocol.upper()} request and response: 0.95 x {peer}'s in four of five rounds", row, 0.8)
    pairs = [(a, b) for a, b in zip(ours, theirs) if a is not None and b]
    if not pairs:
        return Verdict(bar, None, UNKNOWN)
    share = sum(a <= 0.95 * b for a, b in pairs) / len(pairs)
    return Verdict(bar, share, REACHED if share >= bar.bound else MISSED)


def _under_load(results, protocol, way):
    """p99 under load by p99 alone: at most three times what that is for the kernel."""
    alone, loaded = f"rr-{protocol}-p99", f"rr-{protocol}-p99-load-{way}"
    bar = Bar(f"{protocol.upper()} p99 while a flow goes {way}, by p99 alone: 3 x the kernel's ratio", loaded, 3,
              False)
    ours, kernel = (figures.ratio(results.median(loaded, engine), results.median(alone, engine))
                    for engine in (OURS, "kernel"))
    value = figures.ratio(ours, kernel)
    if value is None:
        return Verdict(bar, None, UNKNOWN)
    return Verdict(bar, value, REACHED if value <= bar.bound else MISSED)


def verdicts(results):
    found = [judge(results, bar) for bar in BARS]
    for protocol in ("tcp", "udp"):
        found += [_in_most_rounds(results, protocol, peer) for peer in PASTAS]
        found += [_under_load(results, protocol, way) for way in ("up", "down")]
    return found
