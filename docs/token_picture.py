"""Pictures of accuracy against tokens, from the curves of a report. Drawn by `make evidence`."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from astro_factory.evaluation.report_schema import Report, TokenCurve

WIDTH, HEIGHT = 720, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 196, 18, 52
_TOKENS = (40, 80, 160, 240, 320)
_SCORES = (0.4, 0.6, 0.8, 1.0)
_COLOURS = {
    "base": "#6b7280",
    "direct_sft": "#d97706",
    "astro_sft": "#2563eb",
    "direct_rl": "#b45309",
    "astro_rl": "#172e7c",
    "clean_base": "#6b7280",
    "recipe_direct_sft": "#d97706",
    "recipe_sft": "#2563eb",
    "mixed_sft": "#172e7c",
}
_OTHER = "#111827"
_STYLES = {
    "one_response": "",
    "sample_and_check": ' stroke-dasharray="5 4"',
    "check_steps": ' stroke-dasharray="1.5 3"',
}
_NAMES = {"one_response": "", "sample_and_check": ", checked", "check_steps": ", steps checked"}
_STRICTEST = ("base", "clean_base")
"""The arms whose curve with a check of steps is drawn; those of the others lie close to it."""
_FONT = 'font-family="sans-serif" font-size="12"'
_GAP = 15
"""Least distance between the labels of two lines."""


class Line(NamedTuple):
    """A curve in the coordinates of the picture."""

    label: str
    colour: str
    style: str
    points: list[tuple[float, float]]


def picture(report: Report) -> str:
    """The picture as SVG: a solid line is one response of an arm cut off at budgets, a dashed one samples the arm until
    the domain's check accepts, a dotted one with a check that reads the steps."""
    drawn = [curve for curve in report.curves if curve.control != "check_steps" or curve.arm in _STRICTEST]
    return "\n".join(_parts([_line(curve) for curve in drawn])) + "\n"


def _x(tokens: float) -> float:
    low, high = 30, 330
    return _LEFT + (tokens - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)


def _y(score: float) -> float:
    low, high = 0.25, 1.0
    return HEIGHT - _BOTTOM - (score - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)


def _line(curve: TokenCurve) -> Line:
    points = list(dict.fromkeys((_x(point.tokens), _y(point.value.value)) for point in curve.points))
    return Line(curve.arm + _NAMES[curve.control], _COLOURS.get(curve.arm, _OTHER), _STYLES[curve.control], points)


def _parts(lines: Sequence[Line]) -> Iterator[str]:
    title = "Accuracy against tokens: one response of each arm, and sampling each arm until the domain's check accepts"
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" {_FONT}>'
    yield f"<title>{escape(title)}</title>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for score in _SCORES:
        yield f'<path d="M{_LEFT} {_y(score):.1f}H{right}" stroke="#e5e7eb"/>'
        yield f'<text x="{_LEFT - 8}" y="{_y(score) + 4:.1f}" text-anchor="end">{score:.1f}</text>'
    for tokens in _TOKENS:
        yield f'<path d="M{_x(tokens):.1f} {bottom}v5" stroke="#374151"/>'
        yield f'<text x="{_x(tokens):.1f}" y="{bottom + 20}" text-anchor="middle">{tokens}</text>'
    yield f'<path d="M{_LEFT} {bottom}H{right}" stroke="#374151"/>'
    center, middle = (_LEFT + right) / 2, (_TOP + bottom) / 2
    yield f'<text x="{center:.0f}" y="{HEIGHT - 10}" text-anchor="middle">tokens per problem, on average</text>'
    turned = f'transform="rotate(-90 16 {middle:.0f})"'
    yield f'<text x="16" y="{middle:.0f}" text-anchor="middle" {turned}>share of problems solved</text>'
    for line in lines:
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in line.points)
        if len(line.points) > 1:
            yield f'<path d="M{path}" fill="none" stroke="{line.colour}" stroke-width="2"{line.style}/>'
        x, y = line.points[-1]
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{line.colour}"/>'
    yield from _labels(lines)
    yield "</svg>"


def _labels(lines: Sequence[Line]) -> Iterator[str]:
    """The lines' names to the right of the plot, from top to bottom as the lines end, each joined to its end."""
    ordered = sorted(lines, key=lambda line: line.points[-1][1])
    place = 0.0
    start = WIDTH - _RIGHT + 24
    for line in ordered:
        x, y = line.points[-1]
        place = max(y, place + _GAP)
        yield f'<path d="M{x + 5:.1f} {y:.1f}L{start - 4} {place:.1f}" stroke="{line.colour}" stroke-width="0.6"/>'
        yield f'<text x="{start}" y="{place + 4:.1f}" fill="{line.colour}">{escape(line.label)}</text>'
