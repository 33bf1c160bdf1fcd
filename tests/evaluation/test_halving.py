"""Who goes on after some seeds of a sweep."""

import pytest

from astro_factory.evaluation.halving import halve
from tests.evaluation.test_variants import variant

BASE = variant("base", 0.5, True, seeds=2)
OTHERS = [variant(f"v{share}", share, seeds=2) for share in (0.2, 0.9, 0.4, 0.7, 0.1)]
SETTINGS = {"arm": "a", "metrics": ["pass@1", "maj@3"], "samples": 4}


def names(settings: list) -> list[str]:
    return [each["template"] for each in settings]


@pytest.mark.parametrize(
    ("keep", "kept"), [(0.5, ["v0.9", "v0.7", "v0.4"]), (0.4, ["v0.9", "v0.7"]), (0.01, ["v0.9"]), (0.2, ["v0.9"])]
)
def test_the_better_share_continues(keep, kept):
    rung = halve([OTHERS[0], BASE, *OTHERS[1:]], 2, keep=keep, **SETTINGS)
    assert names(rung.kept) == kept
    assert sorted(names(rung.kept + rung.dropped)) == sorted(other.settings["template"] for other in OTHERS)


def test_a_variant_without_a_seed_is_dropped_and_ties_go_to_the_first():
    short, one, same = variant("short", 0.9, seeds=1), variant("one", 0.4, seeds=2), variant("same", 0.4, seeds=2)
    rung = halve([short, BASE, one, same], 2, keep=0.3, **SETTINGS)
    assert (names(rung.kept), names(rung.dropped)) == (["one"], ["same", "short"])


def test_a_baseline_alone_continues():
    assert halve([BASE], 2, keep=0.5, **SETTINGS)[1:] == ([], [])
