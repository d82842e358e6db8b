"""What notebooks show of networks, trainings and comparisons: tables, and curves as SVG.

All text is escaped. Colours are the notebook's own, dark or light, but for the two of the
curves, which stand out on both; training and validation differ by their dashes as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

__all__ = ["curves", "table"]

WIDTH, HEIGHT = 340, 170  # of one chart
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 30, 26  # around its curves
COLOURS = ("#3b8bc4", "#e0702a")  # training, validation
MOST = 300  # stretches of epochs, each drawn by its lowest and its highest number


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as an HTML table; the first is its head.

    >>> table([["op"], ["<"]])
    '<table><tr><th>op</th></tr><tr><td>&lt;</td></tr></table>'
    """
    lines = [
        "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
        for row, tag in zip(rows, ["th"] + ["td"] * len(rows), strict=False)
    ]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def curves(charts: Sequence[tuple[str, Sequence[tuple[str, Sequence[float]]]]]) -> str:
    """Charts side by side, each a title and curves by name, a number per epoch.

    An axis reaches from the lowest finite number to the highest, by powers of ten where they
    are all positive and a hundredfold apart. Numbers that are not finite leave a gap.
    """
    drawn = [_chart(k, title, lines) for k, (title, lines) in enumerate(charts)]
    width = WIDTH * len(charts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {HEIGHT}" '
        f'width="{width}" style="max-width:100%;height:auto;font:12px sans-serif" '
        f'fill="currentColor">{"".join(drawn)}</svg>'
    )


def _chart(place: int, title: str, lines: Sequence[tuple[str, Sequence[float]]]) -> str:
    numbers = [x for _, line in lines for x in line if math.isfinite(x)] or [0.0]
    low, high = min(numbers), max(numbers)
    is_log = low > 0.0 and high >= 100.0 * low
    n = max(len(line) for _, line in lines)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def height(x: float) -> float:
        bounds = [math.log(v) if is_log else v / 2.0 for v in (low, x, high)]  # /2: no overflow
        span = bounds[2] - bounds[0]
        share = (bounds[1] - bounds[0]) / span if span else 0.5
        return bottom - share * (bottom - TOP)

    def along(i: int) -> float:
        return LEFT + (right - LEFT) * (i / (n - 1) if n > 1 else 0.5)

    parts = [
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="currentColor" '
        'opacity=".5"/>',
        _text(LEFT, TOP - 14, f"{title}{' (logarithmic)' if is_log else ''}", "start", bold=True),
        _text(along(0), HEIGHT - 8, "1" if n > 1 else "epoch 1", "middle"),
    ]
    parts += [_text(LEFT - 6, height(x) + 4, f"{x:.3g}", "end") for x in sorted({low, high})]
    if n > 1:
        parts.append(_text((LEFT + right) / 2, HEIGHT - 8, "epoch", "middle"))
        parts.append(_text(right, HEIGHT - 8, str(n), "end"))
    shown = [(name, line, colour) for (name, line), colour in zip(lines, COLOURS, strict=False)]
    at = right
    for k, (name, line, colour) in reversed(list(enumerate(shown))):
        parts.append(_text(at, TOP - 14, name, "end", colour))
        at -= 7 * len(name) + 14
        dashes = ' stroke-dasharray="5 3"' if k else ""
        for stretch in _stretches(line):
            points = [f"{along(i):.1f},{height(x):.1f}" for i, x in stretch]
            if len(points) == 1:
                x, y = points[0].split(",")
                parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
            else:
                parts.append(
                    f'<polyline points="{" ".join(points)}" fill="none" '
                    f'stroke="{colour}" stroke-width="1.8"{dashes}/>'
                )
    return f'<g transform="translate({place * WIDTH} 0)">{"".join(parts)}</g>'


def _stretches(line: Sequence[float]) -> list[list[tuple[int, float]]]:
    """The finite numbers with their places, in stretches without a gap; thinned out if many."""
    stretches: list[list[tuple[int, float]]] = [[]]
    for i, x in enumerate(line):
        if math.isfinite(x):
            stretches[-1].append((i, x))
        elif stretches[-1]:
            stretches.append([])
    size = math.ceil(len(line) / MOST)
    return [_thinned(stretch, size) for stretch in stretches if stretch]


def _thinned(stretch: list[tuple[int, float]], size: int) -> list[tuple[int, float]]:
    """The lowest and the highest of each ``size`` points, and both ends: no peak is lost."""
    if size < 3:
        return stretch
    kept = {stretch[0], stretch[-1]}
    for start in range(0, len(stretch), size):
        part = stretch[start : start + size]
        kept |= {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
    return sorted(kept)


def _text(
    x: float, y: float, text: str, anchor: str, colour: str = "currentColor", bold: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>'
        f"{escape(text)}</text>"
    )
