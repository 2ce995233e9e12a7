"""The byte pattern of tools/guest/pattern.c, made again on the host's side."""

import functools
import hashlib

BLOCK = 65536


@functools.lru_cache(maxsize=4)
def _twice(seed):
    state = seed
    block = bytearray(BLOCK)
    for i in range(BLOCK):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        block[i] = state >> 24
    return bytes(block) * 2


def blocks(count, seed=1):
    """The pattern in pieces of at most 64 KiB."""
    twice = memoryview(_twice(seed))
    for number in range((count + BLOCK - 1) // BLOCK):
        start = number * 7919 % BLOCK
        yield twice[start:start + min(BLOCK, count - number * BLOCK)]


@functools.lru_cache(maxsize=8)
def sha256(count, seed=1):
    digest = hashlib.sha256()
    for block in blocks(count, seed):
        digest.update(block)
    return digest.hexdigest()
