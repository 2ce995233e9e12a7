"""Sums over measured values. Nothing here knows what is measured."""

import math


def median(values):
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the median of nothing")
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def summary(values):
    """Median, least and greatest of the values that were measured (None: failed); None if none was."""
    measured = [value for value in values if value is not None]
    if not measured:
        return None
    return {"median": median(measured), "min": min(measured), "max": max(measured),
            "rounds": len(measured)}


def fairness(values):
    """Jain's index: 1 when all have the same, 1/n when one has everything."""
    squares = sum(value * value for value in values)
    if squares == 0:
        return 0.0
    return sum(values) ** 2 / (len(values) * squares)


def ratio(value, reference):
    """None where there is nothing to divide by."""
    if value is None or not reference:
        return None
    return value / reference


REACHED = 0.9  # of the rate that was asked for: less, and it was the sender that could not


def highest_rate(attempt, first, most, precision):
    """The highest rate that still passes: doubled until one does not, then halved in between.

    `attempt(rate)` gives (passed, reached): whether that rate passed, and the rate that really came
    through. Where the sender cannot reach the next rate at all, what it reached is the answer.
    """
    best = 0.0
    low, high = 0.0, None
    rate = first
    while True:
        passed, reached = attempt(rate)
        if passed:
            best = max(best, reached)
            low = max(low, rate)
            if reached < REACHED * rate or rate >= most:
                return best
        else:
            high = rate
        if high is None:
            rate = min(rate * 2, most)
        elif low == 0.0:
            if high <= first / 64:
                return best
            rate = high / 2
        elif high / low <= 1 + precision:
            return best
        else:
            rate = math.sqrt(low * high)
