"""How two lines of text that differ are told."""

import pytest

from astro_factory.core.plans import MISSING
from astro_factory.plan.changes import _lines


@pytest.mark.parametrize(
    ("left", "right", "told"),
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
def test_lines_are_told_from_shortly_before_their_first_change(left, right, told):
    assert _lines(left, right) == told
