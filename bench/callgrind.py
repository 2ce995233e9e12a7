"""Reads what callgrind wrote, and finds the engine's part of it.

The scenario runs the engine and its fake world in one process, and both use the same helpers (codecs,
checksums, the C library). So a file's own cost does not tell whose it is; who called does:

    engine = what the functions of the engine's rooms cost themselves
           + what the helpers cost that they call (inclusive, by the edges of the call graph)

Calls from the engine into the fake world are the fake world's, and so is the event loop's own work.
"""

import collections
import re

ENGINE_ROOMS = ("attach", "bridge", "capture", "gateway", "host", "nat", "network", "filter")
HELPER_ROOMS = ("base", "wire", "loop")

ENGINE, HELPER, WORLD = "engine", "helper", "world"

NAME = re.compile(r"\((\d+)\)(?: (.*))?$")
KEY = re.compile(r"([a-z]+)=(.*)$")


def side(path):
    """Whose function a source file holds."""
    found = re.search(r"(?:^|/)src/([a-z]+)/", path)
    if found:
        return ENGINE if found.group(1) in ENGINE_ROOMS else HELPER
    if "tests/" in path or "bench/" in path:
        return WORLD
    return HELPER  # the C library


class Names:
    """callgrind writes a name once and a number from then on."""

    def __init__(self):
        self.known = {}

    def read(self, text):
        found = NAME.match(text)
        if not found:
            return text
        if found.group(2) is not None:
            self.known[found.group(1)] = found.group(2)
        return self.known.get(found.group(1), "???")


class Profile:
    """Cost of each function itself, and of each edge between two functions, inclusive."""

    def __init__(self):
        self.own = collections.Counter()     # (file, function) -> cost
        self.edges = collections.Counter()   # (caller, callee) -> cost


def read(lines):
    """The format: valgrind's manual, "Callgrind Format Specification"."""
    profile = Profile()
    files, functions = Names(), Names()
    own_file, function, called_file, callee = "???", None, None, None
    pending = None
    for line in lines:
        key = KEY.match(line)
        if key:
            name, value = key.groups()
            if name == "fl":
                own_file = files.read(value)
            elif name in ("fi", "fe"):
                files.read(value)  # code of another file inside of the function: still its own
            elif name == "fn":
                function = (own_file, functions.read(value))
                called_file = None
            elif name in ("cfi", "cfl"):
                called_file = files.read(value)
            elif name == "cfn":
                callee = (called_file if called_file is not None else own_file, functions.read(value))
            elif name == "calls":
                pending = callee
                called_file = None
        elif re.match(r"[\d+*-]", line):
            cost = int(line.split()[1])
            if pending:
                profile.edges[(function, pending)] += cost
                pending = None
            elif function:
                profile.own[function] += cost
    return profile


def engine_cost(profile):
    """Instructions that the engine and what it called for itself took."""
    own = sum(cost for (path, _), cost in profile.own.items() if side(path) == ENGINE)
    helped = sum(cost for (caller, callee), cost in profile.edges.items()
                 if side(caller[0]) == ENGINE and side(callee[0]) == HELPER)
    # A table of base asks the engine which entry it means: that is in both sums.
    twice = sum(cost for (caller, callee), cost in profile.edges.items()
                if "src/base/" in caller[0] and side(callee[0]) == ENGINE)
    return own + helped - twice


def dearest(profile, count):
    """(function, cost) of the engine's functions and of the helpers as it calls them, dearest first."""
    costs = collections.Counter()
    for (path, name), cost in profile.own.items():
        if side(path) == ENGINE:
            costs[name] += cost
    for (caller, callee), cost in profile.edges.items():
        if side(caller[0]) == ENGINE and side(callee[0]) == HELPER:
            costs[callee[1]] += cost
    return costs.most_common(count)
