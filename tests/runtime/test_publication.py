"""The spec that travels with a publication says what the spec said."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.runtime.publication import _portable, spec_text
from astro_factory.runtime.published_files import PublishedFiles
from astro_factory.spec.reader import parse_yaml

words = st.text(st.characters(max_codepoint=0xD7FF, exclude_categories=["Cc", "Cs"]), max_size=6) | st.sampled_from(
    ["1e-5", "010", "0o17", "0x1", "no", "null", "~", "1_000", ".5", "+1", "12:30", "2026-01-01", "", "=", "<<", "-"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(words, values, max_size=4))
def test_both_kinds_of_yaml_read_it_as_it_was_meant(source):
    text = spec_text(source)
    assert parse_yaml(text, "spec.yaml").data == source
    assert yaml.safe_load(text) == source


def test_it_is_pleasant_to_read():
    assert spec_text({"factory": 1, "stages": {"a": {"kind": "sft", "data": ["x"], "rate": 1e-5}}}) == (
        "factory: 1\nstages:\n  a:\n    kind: sft\n    data:\n    - x\n    rate: 1.0e-05\n"
    )


@pytest.mark.parametrize(
    ("given", "published"),
    [
        (
            {"kind": "openai", "base_urls": ["http://gpu-7.internal/v1"], "model": "m", "api_key_env": "KEY"},
            {"kind": "openai", "base_urls": ["http://localhost:8000/v1"], "model": "m"},
        ),
        (
            {"rollouts": {"kind": "vllm", "server_url": "http://gpu-7:8000"}},
            {"rollouts": {"kind": "vllm", "server_url": "http://localhost:8000"}},
        ),
        ({"path": "/home/me/a.jsonl"}, {"path": "a.jsonl"}),
        ({"path": "data/a.jsonl"}, {"path": "data/a.jsonl"}),
        ({"repo": "file:~/out/x"}, {"repo": "file:x"}),
        ({"repo": "file:out/x"}, {"repo": "file:out/x"}),
        ({"system_prompt": "/no_think"}, {"system_prompt": "/no_think"}),
        ({"word_sources": ["/home/me/a.jinja", "b.jinja"]}, {"word_sources": ["a.jinja", "b.jinja"]}),
    ],
)
def test_a_published_spec_names_no_place_of_the_publisher(given, published):
    assert _portable(given, PublishedFiles()) == published
