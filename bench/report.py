"""The result as a text table."""

import targets
from rows import families

KERNEL = "kernel"
OURS = "ours"


def number(value):
    """Three digits that matter, and thousands apart."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    if abs(value) >= 0.1 or value == 0:
        return f"{value:.2f}"
    return f"{value:.4f}"


def ratio(value, reference):
    if value is None or not reference:
        return "-"
    return f"{value / reference:.2f}"


def table(head, lines):
    """Columns as wide as they must be; the first is text, the others are numbers."""
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    out = []
    for line in [head, *lines]:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        out.append("  ".join(cells).rstrip())
    return out


def references(results, engines):
    """What the values are divided by: the kernel, ours, and every peer."""
    first = [name for name in (KERNEL, OURS) if name in engines]
    return first + [name for name in engines if name not in first]


def row_lines(results, name):
    """One row: a line for each engine, with its ratio to the others."""
    row = results.rows[name]
    engines = [engine for engine in results.measured_engines() if results.summary(name, engine)]
    others = references(results, engines)
    lines = []
    for engine in engines:
        found = results.summary(name, engine)
        failed = len(results.of(name, engine)) - found["rounds"]
        lines.append([f"  {engine}", number(found["median"]), number(found["min"]), number(found["max"]),
                      str(found["rounds"]) + (f" ({failed} failed)" if failed else ""),
                      *(ratio(found["median"], results.median(name, other)) for other in others)])
    head = [f"{row['title']} [{row['unit']}, {row['better']} is better]", "median", "min", "max", "rounds",
            *(f"/{other}" for other in others)]
    return table(head, lines)


def target_lines(results):
    """What must be reached, and whether it is; nothing when ours was not measured."""
    known = [verdict for verdict in targets.verdicts(results) if verdict.state != targets.UNKNOWN]
    if not known:
        return []
    lines = [[verdict.bar.what, number(verdict.value),
              f"{'>=' if verdict.bar.at_least else '<='} {verdict.bar.bound:.3g}", verdict.state]
             for verdict in known]
    return table(["bar", "is", "must be", ""], lines)


def text(results):
    out = [f"{key}: {value}" for key, value in results.machine.items() if not isinstance(value, dict)]
    for key, value in results.machine.get("sysctls", {}).items():
        out.append(f"{key} = {value}")
    for name in results.measured_engines():
        engine = results.engines[name]
        out.append(f"engine {name}: {engine['title']} {engine['version']}".rstrip())
    for name, why in results.skipped.items():
        out.append(f"engine {name}: skipped, {why}")
    for family, rows in results.families().items():
        out += ["", f"== {families.title(family)}"]
        for row in rows:
            out += ["", *row_lines(results, row)]
    bars = target_lines(results)
    if bars:
        out += ["", "== What must be reached", "", *bars]
    if results.failures:
        out += ["", "== failures"]
        out += [f"{fail['engine']}, {fail['group']}, round {fail['round']}: {fail['why']}"
                for fail in results.failures]
    return "\n".join(out) + "\n"
