"""The drawings of the report, as SVG text: curves and dots only. Whatever is a list of amounts is an HTML table.

Every drawing is 460 units wide, so that its text stays readable in a phone's column; colours and type come from the
style sheet. Each has ``role=img``, a title and a description that says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from markupsafe import Markup

from contracts.evaluation import CalibrationGroup, Gain, Tenth
from insights.reach import Cut, cut_at
from insights.wording import percent, shorten, signed

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 300, 52, 24, 24, 46
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)


def ticks(top: float, most: int) -> list[float]:
    """Choose round positions from 0 up to ``top`` [0-1], at most ``most`` of them above 0."""
    step = next((step for step in STEPS if top / step < most + 0.5), 1.0)
    return [place * step for place in range(int(top / step + 1e-9) + 1)]


def tag(name: str, **attributes: str | float) -> str:
    """Write an empty element; ``class_`` stands for ``class`` and numbers have one decimal."""
    written = (
        f'{key.rstrip("_").replace("_", "-")}="{value:.1f}"'
        if isinstance(value, float)
        else f'{key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
    )
    return f"<{name} {' '.join(written)}/>"


def text(x: float, y: float, words: str, style: str) -> str:
    """Write a text element."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def drawing(key: str, title: str, description: str, marks: Iterable[str], height: int = HEIGHT) -> Markup:
    """Put marks into a named picture; ``key`` is unique in the page."""
    return Markup(  # noqa: S704 every user text in marks, title and description went through escape
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{key}-t {key}-d">'
        f'<title id="{key}-t">{escape(title)}</title><desc id="{key}-d">{escape(description)}</desc>'
        f"{''.join(marks)}</svg>"
    )


class Plot:
    """Axes in shares from 0, with percent labels; ``marks`` collects what is drawn on them."""

    def __init__(self, x_top: float, y_top: float, x_label: str, y_label: str, x_names: Sequence[str] = ()) -> None:
        self.x_top, self.y_top = x_top, y_top
        self.marks: list[str] = []
        levels = ticks(y_top, 4)
        digits = 0 if len(levels) < 2 or levels[1] >= 0.01 else 1
        for value in levels:
            self.marks.append(tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=self.y(value), y2=self.y(value)))
            self.marks.append(text(LEFT - 8, self.y(value) + 4.5, f"{100 * value:.{digits}f}%", "tick end"))
        places = [(place + 0.5, name) for place, name in enumerate(x_names)]
        for value, name in places or [(value, percent(value)) for value in ticks(x_top, 5)]:
            self.marks.append(text(self.x(value), HEIGHT - BOTTOM + 19, name, "tick middle"))
        self.marks.append(tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=self.y(0), y2=self.y(0)))
        self.marks.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, shorten(x_label, 54), "label middle"))
        self.marks.append(text(4, 12, shorten(y_label, 54), "label"))

    def x(self, value: float) -> float:
        """Return where a value lies across."""
        return LEFT + (WIDTH - LEFT - RIGHT) * value / self.x_top

    def y(self, value: float) -> float:
        """Return where a value lies, from the top."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.y_top

    def points(self, values: Iterable[tuple[float, float]]) -> str:
        """Write points as an attribute."""
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in values)

    def line(self, values: Iterable[tuple[float, float]], style: str) -> None:
        """Draw a line through values."""
        self.marks.append(tag("polyline", class_=style, points=self.points(values)))

    def whisker(self, x: float, low: float, high: float) -> None:
        """Draw an interval at a place across, cut off where the axes end."""
        bottom, top = self.y(max(low, 0)), self.y(min(high, self.y_top))
        self.marks.append(
            tag("path", class_="whisker", d=f"M{x:.1f} {bottom:.1f}V{top:.1f}m-4 0h8M{x - 4:.1f} {bottom:.1f}h8")
        )


def has_interval(low: float, high: float) -> bool:
    """Tell if an interval of a share says anything: 0 to 1 stands for none."""
    return (low, high) != (0.0, 1.0)


def draw_reach(key: str, cuts: tuple[Cut, ...], cut: Cut, tested: tuple[Cut, ...], noun: str) -> Markup:
    """Draw how many of all positives each cut reaches, with a marker at one cut and rings where a test measured it."""
    plot = Plot(1, 1, "Customers contacted, highest scores first", f"{noun[:1].upper()}{noun[1:]} reached")
    curve = [(0.0, 0.0), *((row.percent / 100, row.share) for row in cuts)]
    base = cuts[-1].rate
    plot.marks.append(tag("polygon", class_="area", points=plot.points([*curve, (0, 0)])))
    plot.line([(0, 0), (1, 1)], "random")
    plot.line([(0, 0), (base, 1), (1, 1)], "perfect")
    plot.line(curve, "model")
    for row in tested:
        x, y = plot.x(row.percent / 100), plot.y(row.share)
        plot.marks.append(tag("circle", class_="tested", cx=x, cy=y, r=4))
    plot.marks.append(text(plot.x(0.98), plot.y(0.50), "picked at random", "note end"))
    side, style = (7, "note") if base < 0.5 else (-7, "note end")
    plot.marks.append(text(plot.x(base * 0.93) + side, plot.y(0.93) + 4, "perfect foresight", style))
    plot.marks.append(text(plot.x(0.46), plot.y(cut_at(cuts, 46).share) + 30, "this model", "note model-name"))
    x, y, floor = plot.x(cut.percent / 100), plot.y(cut.share), plot.y(0)
    plot.marks.append(
        f'<g class="marker" data-x0="{LEFT}" data-x1="{WIDTH - RIGHT}" data-y0="{floor:.1f}" data-y1="{plot.y(1):.1f}">'
        + tag("line", class_="drop", x1=x, x2=x, y1=y, y2=floor)
        + tag("line", class_="drop", x1=LEFT, x2=x, y1=y, y2=y)
        + tag("circle", class_="dot", cx=x, cy=y, r=6)
        + "</g>"
    )
    description = (
        f"The top {cut.percent:g}% reach {percent(cut.share)} of all {noun}; {cut.percent:g}% picked at random reach "
        f"{cut.percent:g}%. The table has the figures."
    )
    return drawing(key, f"Share of all {noun} reached, by share of customers contacted", description, plot.marks)


def draw_tenths(key: str, tenths: tuple[Tenth, ...], base: float, past: str) -> Markup:
    """Draw what happened in each tenth (bars), what was predicted (ticks) and the interval (whiskers)."""
    known = [row.high for row in tenths if has_interval(row.low, row.high)]
    top = min(1.0, max([*known, *(row.happened for row in tenths), *(row.predicted for row in tenths), base]) * 1.12)
    names = [str(row.tenth) for row in tenths]
    plot = Plot(len(tenths), top, "Tenths of customers, highest scores first", f"Share that {past}", names)
    for place, row in enumerate(tenths):
        left, right, y = plot.x(place + 0.16), plot.x(place + 0.84), plot.y(row.happened)
        plot.marks.append(tag("rect", class_="bar", x=left, y=y, width=right - left, height=plot.y(0) - y))
        if has_interval(row.low, row.high):
            plot.whisker((left + right) / 2, row.low, row.high)
        plot.marks.append(tag("path", class_="said", d=f"M{left - 3:.1f} {plot.y(row.predicted):.1f}H{right + 3:.1f}"))
    plot.line([(0, base), (len(tenths), base)], "random")
    plot.marks.append(text(WIDTH - RIGHT, plot.y(base) - 7, f"average {percent(base, 1)}", "note end"))
    first = tenths[0]
    lifted = f"{first.lift:.1f} times the average"
    plot.marks.append(text(plot.x(1.06), plot.y(max(first.happened, first.predicted)) + 5, lifted, "note model-name"))
    description = "; ".join(
        f"tenth {row.tenth}: predicted {percent(row.predicted, 1)}, happened {percent(row.happened, 1)}"
        for row in tenths
    )
    return drawing(key, f"Share of each tenth that {past}: predicted, and what happened", description, plot.marks)


def draw_calibration(key: str, groups: tuple[CalibrationGroup, ...]) -> Markup:
    """Draw predicted chance against what happened, one dot with its interval for each group."""
    known = [group.high for group in groups if has_interval(group.low, group.high)]
    highest = max([*known, *(group.predicted for group in groups), *(group.happened for group in groups)])
    top = min(1.0, highest * 1.1) or 1.0
    plot = Plot(top, top, "Predicted chance", "What happened")
    plot.line([(0, 0), (top, top)], "random")
    for group in groups:
        if has_interval(group.low, group.high):
            plot.whisker(plot.x(group.predicted), group.low, group.high)
        plot.marks.append(tag("circle", class_="dot", cx=plot.x(group.predicted), cy=plot.y(group.happened), r=5))
    for across, up, lines in (
        (0.54, 0.27, ("below the line:", "we promised too much")),
        (0.08, 0.86, ("above the line:", "we promised too little")),
    ):
        for number, line in enumerate(lines):
            plot.marks.append(text(plot.x(top * across), plot.y(top * up) + 16 * number, line, "note"))
    description = "; ".join(
        f"predicted {percent(group.predicted, 1)}, happened {percent(group.happened, 1)}" for group in groups
    )
    return drawing(
        key, f"Predicted chance against what happened, {len(groups)} equal groups of customers", description, plot.marks
    )


def draw_gains(key: str, gains: tuple[Gain, ...], noun: str, partner: str) -> Markup:
    """Draw the extra positives per 1,000 contacts that the partner's data brings, one row for each reach."""
    low = min(-4.0, *(gain.low for gain in gains))
    high = max(4.0, *(gain.high for gain in gains))
    margin = 0.06 * (high - low)
    low, high = low - margin, high + margin
    left, first, row_height = 92, 42, 34
    height = first + row_height * len(gains) + 38

    def x(value: float) -> float:
        return left + (WIDTH - left - RIGHT) * (value - low) / (high - low)

    step = next((step for step in (1, 2, 5, 10, 20, 50, 100) if (high - low) / step <= 8), 200)
    marks = []
    for value in range(math.ceil(low / step) * step, math.floor(high) + 1, step):
        style = "zero" if value == 0 else "grid"
        marks.append(tag("line", class_=style, x1=x(value), x2=x(value), y1=24, y2=height - 44))
        marks.append(text(x(value), height - 27, signed(value).removesuffix(".0") if value else "0", "tick middle"))
    for place, gain in enumerate(gains):
        y = first + place * row_height
        ends = f"M{x(gain.low):.1f} {y}H{x(gain.high):.1f}m0 -5v10M{x(gain.low):.1f} {y - 5}v10"
        marks.append(text(left - 10, y + 4.5, f"top {gain.percent:g}%", "label end"))
        marks.append(tag("path", class_="whisker partner", d=ends))
        marks.append(tag("circle", class_="dot partner", cx=x(gain.extra), cy=y, r=6))
    marks.append(text(x(0) - 6, 14, "worse", "note end"))
    marks.append(text(x(0) + 6, 14, "better", "note"))
    label = shorten(f"Extra {noun} per 1,000 contacted", 54)
    marks.append(text((left + WIDTH - RIGHT) / 2, height - 6, label, "label middle"))
    description = "; ".join(
        f"top {gain.percent:g}%: {signed(gain.extra)}, 95% interval {signed(gain.low)} to {signed(gain.high)}"
        for gain in gains
    )
    return drawing(key, f"Extra {noun} found with data from {partner}", description, marks, height)


def draw_hundred(share: float, label: str) -> Markup:
    """Draw a hundred people, as many of them filled as do it: the one picture of a percentage."""
    filled = round(100 * share)
    dots = "".join(
        tag(
            "circle",
            class_="on" if place < filled else "off",
            cx=7 + 14 * (place % 10),
            cy=7 + 14 * (place // 10),
            r=4.6,
        )
        for place in range(100)
    )
    return Markup(  # noqa: S704 the label is escaped
        f'<svg class="hundred" viewBox="0 0 140 140" role="img" aria-label="{escape(label)}">{dots}</svg>'
    )
