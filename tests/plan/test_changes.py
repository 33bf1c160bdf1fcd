"""The text for two lines that differ."""

import pytest

from astro_factory.core.plans import MISSING
from astro_factory.plan.changes import _lines


@pytest.mark.parametrize(
    ("left", "right", "text"),
    [
        ("Hmm", "Oops", '"Hmm" -> "Oops"'),
        (
            '{{ pick(["Wait ,", "But wait , are we correct so far ?", "Let us check ."]) }}',
            '{{ pick(["Wait ,", "But wait , are we correct so far ?", "Let me check ."]) }}',
            r'"...so far ?\", \"Let us check .\"]) }}" -> "...so far ?\", \"Let me check .\"]) }}"',
        ),
        ("x" * 100, "x" * 100 + "y", f'"...{"x" * 16}" -> "...{"x" * 16}y"'),
        ("left", MISSING, '"left" -> nothing'),
        (MISSING, "right", 'nothing -> "right"'),
    ],
)
def test_lines_start_shortly_before_their_first_difference(left, right, text):
    assert _lines(left, right) == text
