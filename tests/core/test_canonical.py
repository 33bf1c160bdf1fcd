"""Digests and seeds are the same on every machine, so some are pinned here."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.canonical import canonical_json, digest, file_digest, seed_for

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        ({"x": 1e-5, "y": 0.1, "z": 1.0}, '{"x":1e-05,"y":0.1,"z":1.0}'),
        ("zurück", '"zurück"'),
        ({"2": 0, "10": 0}, '{"10":0,"2":0}'),
    ],
)
def test_canonical_json(value, text):
    assert canonical_json(value).decode() == text


@settings(deadline=None)
@given(plain)
def test_the_order_of_keys_does_not_count(value):
    def reversed_(value):
        if isinstance(value, dict):
            return {key: reversed_(value[key]) for key in reversed(list(value))}
        return [reversed_(item) for item in value] if isinstance(value, list) else value

    assert digest(value) == digest(reversed_(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_no_json_can_hold_has_no_digest(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"x": value})


def test_types_count():
    assert len({digest(value) for value in (1, 1.0, "1", True, [1], {"1": 1}, None)}) == 7


def test_pinned():
    assert digest({"kind": "practice", "count": 3}) == hashlib.sha256(b'{"count":3,"kind":"practice"}').hexdigest()
    assert seed_for(0, "search", "p-1", 2) == 1952420653447308693


def test_seeds_are_63_bits_and_differ_by_every_part():
    seeds = {seed_for(a, b, c) for a in range(10) for b in ("x", "y") for c in ("1", 1, None)}
    assert len(seeds) == 60 and all(0 <= seed < 2**63 for seed in seeds)


def test_file_digest(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 1000)
    assert file_digest(tmp_path / "f") == hashlib.sha256(b"abc" * 1000).hexdigest()
