"""What moved between two results, judged row by row."""

import dataclasses
import fnmatch

BETTER, WORSE, SAME = "better", "worse", "same"

# Peers and the kernel move with the machine, not with us.
OURS = ["ours*", "qemu-ours*", "scenario*"]


@dataclasses.dataclass(frozen=True)
class Move:
    row: str
    engine: str
    old: float
    new: float
    percent: float  # of the old value, positive = larger
    verdict: str


def judge(old, new, better, threshold):
    """A median moved when it is beyond the threshold and, where the old result has a range, outside of
    it: within, it is what that machine does anyway."""
    if old["median"] == new["median"]:
        return 0.0, SAME
    if old["median"] == 0:
        percent = float("inf")
    else:
        percent = (new["median"] / old["median"] - 1) * 100
    inside = old["rounds"] > 1 and old["min"] <= new["median"] <= old["max"]
    if inside or abs(percent) <= threshold:
        return percent, SAME
    return percent, BETTER if (percent > 0) == (better == "more") else WORSE


def compare(old, new, threshold, rows=("*",), engines=tuple(OURS)):
    """A Move for each value that both have; and what only the old one has, as (row, engine)."""
    moves, lost = [], []
    for row, known in old.rows.items():
        if not any(fnmatch.fnmatchcase(row, pattern) for pattern in rows):
            continue
        for engine in old.engines:
            before, after = old.summary(row, engine), new.summary(row, engine)
            if not before or not any(fnmatch.fnmatchcase(engine, pattern) for pattern in engines):
                continue
            if not after:
                lost.append((row, engine))
                continue
            percent, verdict = judge(before, after, known["better"], threshold)
            moves.append(Move(row, engine, before["median"], after["median"], percent, verdict))
    return moves, lost
