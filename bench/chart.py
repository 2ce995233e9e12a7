"""One SVG per family of rows: a group of horizontal bars per row, a bar per engine, its length the
median, with a line from the least to the greatest value."""

import math
from xml.sax.saxutils import escape

import report
from rows import families

COLOURS = {"kernel": "#7a7a7a", "ours": "#d9480f", "ours-kept": "#f08c4a", "ours-peek": "#f5b98a",
           "pasta": "#1c7ed6", "pasta-new": "#74b6ea", "slirp4netns": "#2b8a3e", "gvproxy": "#9c36b5"}
OTHERS = ["#c2255c", "#0b7285", "#5f3dc4", "#e67700", "#495057", "#66a80f"]

WIDTH = 960
LEFT = 24
RIGHT = 90       # room for the figure behind the longest bar
TOP = 92
BAR = 15
BAR_GAP = 3
TITLE = 22       # a row's title, above its bars
ROW_GAP = 16
BOTTOM = 40
LOG_SPAN = 60    # a wider family is drawn on a logarithmic scale


def step(most):
    """A round distance between the lines of the scale: four to ten of them."""
    power = 10 ** math.floor(math.log10(most / 4))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if most / (factor * power) <= 8)


class Linear:
    def __init__(self, most):
        distance = step(most)
        self.ticks = [distance * number for number in range(math.ceil(most / distance) + 1)]
        self.most = self.ticks[-1]

    def share(self, value):
        return max(0.0, value) / self.most


class Logarithmic:
    def __init__(self, least, most):
        first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
        self.first, self.span = first, max(1, last - first)
        self.ticks = [10.0 ** power for power in range(first, first + self.span + 1)]

    def share(self, value):
        if value <= 0:
            return 0.0
        return min(1.0, max(0.0, (math.log10(value) - self.first) / self.span))


def scale(summaries):
    greatest = max(found["max"] for found in summaries)
    medians = [found["median"] for found in summaries if found["median"] > 0]
    if greatest <= 0:
        return Linear(1.0)
    if medians and max(medians) / min(medians) > LOG_SPAN:
        return Logarithmic(min(medians), greatest)
    return Linear(greatest)


def colours(engines):
    spare = iter(OTHERS * 4)
    return {engine: COLOURS.get(engine) or next(spare) for engine in engines}


def text(x, y, words, size=13, anchor="start", weight="normal", fill="#1a1a1a"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'font-weight="{weight}" fill="{fill}">{escape(words)}</text>')


def bar(x, y, width, colour, found, place):
    """The bar, its range, and its figure behind both."""
    least, most = x + place(found["min"]), x + place(found["max"])
    middle = y + BAR / 2
    parts = [f'<rect x="{x}" y="{y}" width="{max(1.0, width):.1f}" height="{BAR}" fill="{colour}"/>']
    if found["rounds"] > 1:
        parts.append(f'<path d="M{least:.1f} {middle}H{most:.1f}M{least:.1f} {middle - 4}v8'
                     f'M{most:.1f} {middle - 4}v8" stroke="#1a1a1a" stroke-width="1.2" fill="none"/>')
    parts.append(text(max(most, x + width) + 6, y + BAR - 3, report.number(found["median"]), 12))
    return parts


def legend(engines, palette):
    parts = []
    x = LEFT
    for engine in engines:
        parts.append(f'<rect x="{x}" y="52" width="12" height="12" fill="{palette[engine]}"/>')
        parts.append(text(x + 17, 63, engine, 13))
        x += 34 + 7.4 * len(engine)
    return parts


def family(results, name):
    """The chart of a family that has values."""
    rows = results.families()[name]
    title = families.title(name)
    engines = [engine for engine in results.measured_engines()
               if any(results.summary(row, engine) for row in rows)]
    palette = colours(engines)
    drawn = {row: {engine: found for engine in engines if (found := results.summary(row, engine))}
             for row in rows}
    axis = scale([found for row in drawn.values() for found in row.values()])
    breadth = WIDTH - LEFT - RIGHT

    def place(value):
        return breadth * axis.share(value)

    body = []
    y = TOP
    for row, found in drawn.items():
        body.append(text(LEFT, y + 14, results.rows[row]["title"], 13, weight="600"))
        y += TITLE
        for engine, summary in found.items():
            body += bar(LEFT, y, place(summary["median"]), palette[engine], summary, place)
            y += BAR + BAR_GAP
        y += ROW_GAP
    height = y + BOTTOM
    better = {results.rows[row]["better"] for row in rows}
    unit = results.rows[rows[0]]["unit"]
    subtitle = f"{unit}; " + (f"{better.pop()} is better; " if len(better) == 1 else "") + \
        "median, line from least to greatest"
    if isinstance(axis, Logarithmic):
        subtitle += "; logarithmic scale"
    grid = []
    for tick in axis.ticks:
        x = LEFT + place(tick)
        grid.append(f'<path d="M{x:.1f} {TOP - 8}V{y}" stroke="#d8d8d8" fill="none"/>')
        grid.append(text(x, y + 16, f"{tick:,.4g}" if tick < 1000 else f"{tick:,.0f}", 12, "middle", fill="#555555"))
    grid.append(text(LEFT + breadth / 2, y + 33, unit, 12, "middle", fill="#555555"))
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(LEFT, 26, title, 18, weight="600"), text(LEFT, 44, subtitle, 12, fill="#555555"),
        *legend(engines, palette), *grid, *body, "</svg>", ""])
