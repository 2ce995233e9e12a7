"""Waiting with an end. Where something can wake us, that is used; `until` is for what only can be asked."""

import time


def until(question, timeout, what):
    """Asks until the answer is true, and gives that answer."""
    end = time.monotonic() + timeout
    while not (answer := question()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.05)
    return answer
