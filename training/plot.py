"""Draws numbers as SVG by hand: a training log, and any lines over one axis. No plotting package is needed.

python -m training.plot LOG.jsonl ... OUT.svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from coderls.errors import CoderlsError

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 36, 52
_COLOURS = ("#1f5fa8", "#c0491d", "#3d8a37", "#7a4fa3", "#8c6d1f", "#4f6b74")

Points = Sequence[tuple[float, float]]


def svg(title: str, across: str, upward: str, lines: Mapping[str, Points]) -> str:
    """A chart with a line for each name. Lines without points are left out; without any, an empty chart."""
    drawn = {name: points for name, points in lines.items() if points}
    every = [point for points in drawn.values() for point in points] or [(0.0, 0.0), (1.0, 1.0)]
    x_low, x_high = _range([x for x, _ in every])
    y_low, y_high = _range([y for _, y in every])
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = _LEFT + width * (point[0] - x_low) / (x_high - x_low)
        return x, _TOP + height * (1 - (point[1] - y_low) / (y_high - y_low))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        _text(_LEFT, 22, title, size=15),
        _text(_LEFT + width / 2, _HEIGHT - 12, across, anchor="middle"),
        _text(16, _TOP + height / 2, upward, anchor="middle", turned=True),
    ]
    for part in range(6):
        x, y = _LEFT + width * part / 5, _TOP + height * (1 - part / 5)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_LEFT + width}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{y_low + (y_high - y_low) * part / 5:.4g}", anchor="end"))
        parts.append(_text(x, _TOP + height + 18, f"{x_low + (x_high - x_low) * part / 5:.4g}", anchor="middle"))
    for number, (name, points) in enumerate(drawn.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        parts.append(_text(_LEFT + width - 4, _TOP + 16 + 16 * number, name, anchor="end", colour=colour))
    return "\n".join([*parts, "</svg>\n"])


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, turned: bool = False, colour: str = "#222"
) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"{turn}>'
        f"{escape(text)}</text>"
    )


def smoothed(points: Points, width: int) -> list[tuple[float, float]]:
    """Each point as the mean of the last `width`: steps of few examples are noise."""
    found = []
    for number, (x, _) in enumerate(points):
        window = points[max(0, number - width + 1) : number + 1]
        found.append((x, sum(y for _, y in window) / len(window)))
    return found


def read_log(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Losses by step, for each kind in a training log. Raises CoderlsError."""
    lines: dict[str, list[tuple[float, float]]] = {"middle": [], "text": [], "validation": []}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for name, points in lines.items():
                if name in row:
                    while points and points[-1][0] >= row["step"]:  # it went on from an earlier step
                        points.pop()
                    points.append((float(row["step"]), float(row[name])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoderlsError(f"{path} is no training log: {error!r}.") from error
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Draw logs; returns the exit code."""
    arguments = [Path(text) for text in (sys.argv[1:] if argv is None else argv)]
    if len(arguments) < 2 or arguments[-1].suffix != ".svg":
        print(__doc__, file=sys.stderr)
        return 2
    *logs, out = arguments
    try:
        lines = {
            f"{path.parent.name} {name}" if len(logs) > 1 else name: smoothed(points, 1 if name == "validation" else 10)
            for path in logs
            for name, points in read_log(path).items()
        }
    except CoderlsError as error:
        print(f"plot: {error}", file=sys.stderr)
        return 1
    out.write_text(svg("Loss", "step", "nats a token", lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
