"""Line plots as SVG, readable on light and dark pages, with Python's standard library alone."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 210, 44, 52
# Bright enough for dark pages and dark enough for bright ones. The first is that of wsrv.
COLOURS = ["#e8590c", "#868e96", "#1c7ed6", "#2b8a3e", "#9c36b5", "#cc5de8", "#0c8599", "#22b8cf", "#b08900"]
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #3d444d }
  .title { font-size: 14px; font-weight: 600 }
  .grid { stroke: #8886; stroke-width: 1 }
  @media (prefers-color-scheme: dark) { text { fill: #c9d1d9 } }
"""


class Axis:
    """From values to places on the page."""

    def __init__(self, values, start, end, log, margin=0):
        self.log = log
        self.start, self.end = start, end
        if log:
            self.low, self.high = math.log10(min(values)), math.log10(max(values))
        else:
            self.low, self.high = 0, max(values) * 1.04
        if self.high == self.low:
            self.low, self.high = self.low - 0.5, self.high + 0.5
        if margin:
            self.low -= margin * (self.high - self.low)

    def place(self, value):
        value = math.log10(value) if self.log else value
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self):
        if not self.log:
            step = nice(self.high / 5)
            return [step * count for count in range(int(self.high / step) + 1)]
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)

        def among(digits):
            ticks = [digit * 10.0**decade for decade in decades for digit in digits]
            return [tick for tick in ticks if self.low - 1e-9 <= math.log10(tick) <= self.high + 1e-9]

        # Where all lies close together, more of them, or there would be hardly one.
        ticks = among((1, 2, 5))
        return ticks if len(ticks) > 3 else among((1, 1.5, 2, 3, 4, 5, 6, 8))


def nice(step):
    """The next number above that begins with 1, 2 or 5."""
    power = 10 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= step)


def number(value):
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def lines(title, x_label, y_label, series, log_x=False, log_y=False):
    """The plot as text: a line for each name in `series`, through its (x, y) points."""
    colours = dict(zip(series, COLOURS))
    # What is nothing has no place on a logarithmic axis.
    series = {name: [(x, y) for x, y in points if y > 0 or not log_y] for name, points in series.items()}
    series = {name: points for name, points in series.items() if points}
    points = [point for line in series.values() for point in line]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>',
    ]
    if points:
        parts += draw(x_label, y_label, series, colours, points, log_x, log_y)
    else:
        parts.append(f'<text x="{LEFT}" y="{TOP}">nothing was measured</text>')
    return "\n".join(parts) + "\n</svg>\n"


def draw(x_label, y_label, series, colours, points, log_x, log_y):
    x_axis = Axis([x for x, _ in points], LEFT, WIDTH - RIGHT, log_x)
    y_axis = Axis([y for _, y in points], HEIGHT - BOTTOM, TOP, log_y, margin=0.06 if log_y else 0)
    for tick in y_axis.ticks():
        y = y_axis.place(tick)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>'
    # Where values were measured; on a linear axis these may be anywhere.
    for tick in sorted({x for x, _ in points}) if log_x else x_axis.ticks():
        x = x_axis.place(tick)
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{number(tick)}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_label)}</text>'
    yield f'<text x="{LEFT - 8}" y="{TOP - 10}" text-anchor="end">{escape(y_label)}</text>'
    for name, line in series.items():
        places = [(x_axis.place(x), y_axis.place(y)) for x, y in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        width = 3 if name == "wsrv" else 1.6
        yield f'<path d="M{path}" fill="none" stroke="{colours[name]}" stroke-width="{width}" stroke-linejoin="round"/>'
        yield "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[name]}"/>' for x, y in places)
    # In the order in which the lines end.
    for place, name in enumerate(sorted(series, key=lambda name: -series[name][-1][1])):
        y = TOP + 8 + 20 * place
        yield f'<path d="M{WIDTH - RIGHT + 20} {y}h18" stroke="{colours[name]}" stroke-width="3"/>'
        yield f'<text x="{WIDTH - RIGHT + 44}" y="{y + 4}">{escape(name)}</text>'
