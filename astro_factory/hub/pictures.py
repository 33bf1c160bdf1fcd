"""Pictures for cards: bars as SVG, without scripts, fonts or links, readable on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from astro_factory.hub.card_text import printable
from astro_factory.hub.evaluation_results import Score

_WIDTH, _LABEL, _VALUE, _ROW, _TOP = 720, 200, 130, 26, 34
_LONGEST_LABEL = 28


class Bar(NamedTuple):
    """One row of a picture."""

    label: str
    value: float
    text: str
    """The value as written beside the bar."""
    interval: tuple[float, float] | None = None
    """Ends of a line through the bar's end."""


def bar_chart(title: str, bars: Sequence[Bar], most: float) -> bytes:
    """Horizontal bars from 0 to `most`, one below the other, as an SVG file."""
    height, room = _TOP + _ROW * len(bars) + 8, _WIDTH - _LABEL - _VALUE
    scale = room / most if most > 0 else 0.0
    described = escape(printable(f"{title}: " + "; ".join(f"{bar.label} {bar.text}" for bar in bars)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="13">',
        f"<title>{described}</title>",
        f'<rect width="{_WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
        f'<text x="10" y="22" font-weight="bold" fill="#1b1b1f">{escape(printable(title))}</text>',
    ]
    for index, bar in enumerate(bars):
        top = _TOP + _ROW * index
        middle, end = top + _ROW / 2, _LABEL + scale * bar.value
        label = bar.label if len(bar.label) <= _LONGEST_LABEL else f"{bar.label[: _LONGEST_LABEL - 1]}…"
        width = max(end - _LABEL, 1)
        parts += [
            _text(_LABEL - 8, middle, label),
            f'<rect x="{_LABEL}" y="{top + 5}" width="{width:.1f}" height="{_ROW - 10}" fill="#3b78c2"/>',
            _text(_WIDTH - 10, middle, bar.text),
        ]
        if bar.interval:
            low, high = (_LABEL + scale * edge for edge in bar.interval)
            parts.append(
                f'<path d="M{low:.1f} {middle:g}H{high:.1f}M{low:.1f} {middle - 4:g}v8M{high:.1f} {middle - 4:g}v8" '
                'stroke="#1b1b1f" stroke-width="1.5"/>'
            )
    return ("\n".join([*parts, "</svg>"]) + "\n").encode()


def _text(right: float, middle: float, text: str) -> str:
    place = f'x="{right}" y="{middle + 4:g}" text-anchor="end"'
    return f'<text {place} fill="#1b1b1f">{escape(printable(text))}</text>'


def results_picture(source: str, arms: Mapping[str, Mapping[str, Score]]) -> bytes:
    """The first metric of every arm on one problem source, with its intervals."""
    metric = next(iter(next(iter(arms.values()))))
    bars = [
        Bar(arm, scores[metric].value, str(scores[metric]), (scores[metric].low, scores[metric].high))
        for arm, scores in arms.items()
    ]
    return bar_chart(f"{source}: {metric}, percent", bars, 1.0)


def backtracks_picture(name: str, backtracks: Mapping[int, int]) -> bytes:
    """How many traces of a table have how many backtracks."""
    bars = [Bar(_times(times), count, f"{count:,}") for times, count in backtracks.items()]
    return bar_chart(f"{name}: traces by backtracks", bars, max(backtracks.values()))


def _times(count: int) -> str:
    return f"{count} backtrack{'' if count == 1 else 's'}"
