"""Plots as SVG that take the colours of the reader's page: readable in light and dark, with no library.

The colours are in one style sheet inside the picture (prefers-color-scheme). Plotting libraries write each
colour into its element instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
ROW_HEIGHT: Final = 26
LABEL_WIDTH: Final = 290
PLOT_HEIGHT: Final = 230
LABEL_HEIGHT: Final = 15
MARGIN: Final = 48
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px; fill: #57606a }
.axis { stroke: #d0d7de } .bar { fill: #8c959f } .ours { fill: #0969da } .floor { fill: #d0d7de }
.line { fill: none; stroke-width: 2 } .c0 { stroke: #0969da } .c1 { stroke: #bc4c00 } .c2 { stroke: #1a7f37 }
.dot.c0, .name.c0 { fill: #0969da } .dot.c1, .name.c1 { fill: #bc4c00 } .dot.c2, .name.c2 { fill: #1a7f37 }
text.name { stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #3d444d } .bar { fill: #656c76 }
  .ours { fill: #4493f8 } .floor { fill: #3d444d }
  .c0 { stroke: #4493f8 } .c1 { stroke: #f0883e } .c2 { stroke: #3fb950 }
  .dot.c0, .name.c0 { fill: #4493f8 } .dot.c1, .name.c1 { fill: #f0883e } .dot.c2, .name.c2 { fill: #3fb950 }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, its length, the spread of the runs, and its kind."""

    label: str
    value: float
    least: float
    most: float
    kind: str = "bar"


def _svg(height: float, title: str, body: Sequence[str]) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *body, "</svg>\n"])


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Returns a picture of bars, one below the other, each with its figure and its spread."""
    room = WIDTH - LABEL_WIDTH - 110
    scale = room / max(row.most for row in rows)
    body = [_text(0, 16, f"{title} ({unit})", kind="small")]
    for number, row in enumerate(rows):
        top = 30 + number * ROW_HEIGHT
        width = row.value * scale
        shape = f'x="{LABEL_WIDTH}" y="{top}" width="{width:.1f}" height="{ROW_HEIGHT - 8}" rx="2"'
        middle = top + (ROW_HEIGHT - 8) / 2
        end = LABEL_WIDTH + max(width, row.most * scale)
        body += [
            _text(LABEL_WIDTH - 8, top + 13, row.label, "end"),
            f'<rect {shape} class="{row.kind}"/>',
            _line(LABEL_WIDTH + row.least * scale, middle, LABEL_WIDTH + row.most * scale, middle, "axis"),
            _text(end + 8, top + 13, f"{row.value:,.0f}" if row.value >= 20 else f"{row.value:.2f}"),
        ]
    return _svg(40 + len(rows) * ROW_HEIGHT, title, body)


def _ticks(top: float) -> list[float]:
    """Returns round numbers from 0 to at least `top`."""
    step = 10.0 ** math.floor(math.log10(top / 2)) if top > 0 else 1.0
    step *= next(factor for factor in (1, 2, 5, 10) if step * factor * 5 >= top)
    return [step * number for number in range(math.ceil(top / step) + 1)]


Series = Mapping[str, Sequence[tuple[float, float]]]
"""The points of each line, by its name."""


def lines(title: str, x_title: str, series: Series, limit: tuple[float, str] | None = None) -> str:
    """Returns a picture of up to three lines; `limit` is a value, and its name.

    Each step to the right is twice as much.
    """
    points = [point for row in series.values() for point in row]
    xs = sorted({x for x, _ in points})
    x_of = _across(xs)
    ticks = _ticks(max([y for _, y in points] + [limit[0] if limit else 0.0]))
    bottom = 34 + PLOT_HEIGHT

    def y_of(value: float) -> float:
        return bottom - PLOT_HEIGHT * value / ticks[-1]

    body = [_text(0, 16, title, kind="small")]
    for tick in ticks:
        body.append(_line(MARGIN, y_of(tick), WIDTH - 150, y_of(tick), "axis"))
        body.append(_text(MARGIN - 6, y_of(tick) + 4, f"{tick:g}", "end", "small"))
    body += [_text(x_of(x), bottom + 18, f"{x:,g}", "middle", "small") for x in _readable(xs, x_of)]
    body.append(_text((WIDTH - 150 + MARGIN) / 2, bottom + 38, x_title, "middle", "small"))
    if limit:
        dashes = _line(MARGIN, y_of(limit[0]), WIDTH - 150, y_of(limit[0]), "line c1")
        body.append(f'<g stroke-dasharray="4 4">{dashes}</g>')
        body.append(_text(WIDTH - 144, y_of(limit[0]) + 4, limit[1], kind="small"))
    for number, row in enumerate(series.values()):
        places = [(f"{x_of(x):.1f}", f"{y_of(y):.1f}") for x, y in row]
        path = " ".join(",".join(place) for place in places)
        body.append(f'<polyline points="{path}" class="line c{number}"/>')
        body += [f'<circle cx="{x}" cy="{y}" r="3" class="dot c{number}"/>' for x, y in places]
    ends = {name: y_of(row[-1][1]) + 4 for name, row in series.items()}
    kinds = {name: f"name c{number}" for number, name in enumerate(series)}
    body += [_text(WIDTH - 144, y, name, kind=kinds[name]) for name, y in _apart(ends).items()]
    return _svg(bottom + 50, title, body)


MIN_DISTANCE: Final = 45
"""The least distance in pixels between the middles of two numbers below a plot."""


def _readable(xs: Sequence[float], x_of: Callable[[float], float]) -> list[float]:
    """Returns the ascending places whose numbers do not overlap. The last place is always among them."""
    kept: list[float] = []
    for x in reversed(xs):
        if not kept or x_of(kept[-1]) - x_of(x) >= MIN_DISTANCE:
            kept.append(x)
    return kept


def _apart(heights: Mapping[str, float]) -> dict[str, float]:
    """Returns heights for names that belong at these heights, moved so that they do not overlap."""
    placed: dict[str, float] = {}
    free_from = -math.inf
    for name, y in sorted(heights.items(), key=lambda one: one[1]):
        placed[name] = max(y, free_from)
        free_from = placed[name] + LABEL_HEIGHT
    return placed


def _across(xs: Sequence[float]) -> Callable[[float], float]:
    """Returns the place of a value in the picture."""
    first, last = math.log2(xs[0]), math.log2(xs[-1])
    room = WIDTH - 150 - 2 * MARGIN

    def x_of(x: float) -> float:
        return MARGIN * 1.5 + room * (math.log2(x) - first) / ((last - first) or 1.0)

    return x_of
