"""What was measured, and its file.

    {"format": 1, "machine": {...}, "engines": {name: {"title", "version"}},
     "rows": {name: {"family", "title", "unit", "better"}},
     "values": {row: {engine: [value of round 1, of round 2, ...]}},     null: failed
     "failures": [{"engine", "group", "round", "why"}], "skipped": {engine: why}}

The same format serves bench/run and bench/instructions, and bench/compare reads both.
"""

import dataclasses
import json

import figures

FORMAT = 1


class Results:
    def __init__(self):
        self.machine = {}
        self.engines = {}
        self.rows = {}
        self.values = {}
        self.failures = []
        self.skipped = {}

    def add_engine(self, name, title, version):
        self.engines[name] = {"title": title, "version": version}

    def add_row(self, row):
        known = dataclasses.asdict(row)
        self.rows[known.pop("name")] = known

    def put(self, row, engine, round_number, value):
        """Keeps the values of one round at one place in the lists of all engines."""
        values = self.values.setdefault(row, {}).setdefault(engine, [])
        values += [None] * (round_number + 1 - len(values))
        values[round_number] = value

    def fill(self, rows, engine, round_number):
        """None for the rows that a failed round did not come to, where the engine has values at all."""
        for row in rows:
            if engine in self.values.get(row, {}) and len(self.of(row, engine)) <= round_number:
                self.put(row, engine, round_number, None)

    def fail(self, engine, group, round_number, why):
        self.failures.append({"engine": engine, "group": group, "round": round_number + 1, "why": why})

    def of(self, row, engine):
        """The values of all rounds."""
        return self.values.get(row, {}).get(engine, [])

    def summary(self, row, engine):
        return figures.summary(self.of(row, engine))

    def median(self, row, engine):
        found = self.summary(row, engine)
        return found["median"] if found else None

    def measured_engines(self):
        """Those that have a value, in the order in which they were added."""
        have = {engine for engines in self.values.values() for engine in engines}
        return [engine for engine in self.engines if engine in have]

    def families(self):
        """Family -> its rows that have a value, both in the order in which they were added."""
        found = {}
        for name, row in self.rows.items():
            if any(self.summary(name, engine) for engine in self.engines):
                found.setdefault(row["family"], []).append(name)
        return found

    def as_json(self):
        body = {"format": FORMAT, "machine": self.machine, "engines": self.engines, "rows": self.rows,
                "values": self.values, "failures": self.failures, "skipped": self.skipped}
        return json.dumps(body, indent=1) + "\n"


def load(text):
    """Raises ValueError where the text is none of ours."""
    body = json.loads(text)
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ValueError(f"not a result of the bench in format {FORMAT}")
    found = Results()
    for name in ("machine", "engines", "rows", "values", "failures", "skipped"):
        setattr(found, name, body[name])
    return found
