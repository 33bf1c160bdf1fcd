"""Whoever changes the code behind a kind of stage moves its version, or says why outputs are as before."""

import ast
import json

import pytest

from tests.plan import stage_versions as guard


def test_code_moved_with_its_version_or_with_a_note():
    names = guard.moved()
    assert not names, (
        f"the code behind {', '.join(names)} is not what tests/plan/stage_versions.json has. If an output may be "
        "another for an equal config, move VERSION in the kind's module. Then run\n"
        '    python -m tests.plan.stage_versions --update "why outputs are as before, or what is new"'
    )


def test_the_table_says_why():
    assert guard.table().keys() == guard.kinds().keys()
    assert all(entry["note"] for entry in guard.table().values())


def test_a_kind_stands_for_what_it_imports():
    found = guard.closure("astro_factory.stages.search")
    assert {"astro_factory.search.mcts", "astro_factory.verifiers.countdown", "astro_factory.engines.sampler"} <= found
    assert (
        not {"astro_factory.core.errors", "astro_factory.runtime.node_execution", "astro_factory.training.grpo"} & found
    )
    assert not guard.OUTSIDE.keys() & found


def shape(text: str, aside: bool = False) -> str:
    return json.dumps(guard._shape(ast.parse(text), aside=aside))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x):\n    return x + 1", 'def f(x):\n    """Says."""\n    return x + 1  # so'),
        ("class A:\n    x: int = 1", 'class A:\n    x: int = 1\n    """A number."""'),
        ("raise ValueError('a')", "raise ValueError('b')"),
        ("f(1)", "ctx.events.progress(1, 2)\nf(1)"),
    ],
)
def test_words_are_no_code(one, other):
    assert shape(one) == shape(other)


@pytest.mark.parametrize(
    ("one", "other"), [("x = 1", "x = 2"), ("x = 1", "x = 1.0"), ("f(a)", "f(a=a)"), ("if a: raise E", "if b: raise E")]
)
def test_code_is(one, other):
    assert shape(one) != shape(other)


def test_how_a_kind_is_run_is_aside():
    assert shape("VERSION = 1\ndef cores(c):\n    return 1", aside=True) == shape("VERSION = 2", aside=True)
    assert shape("VERSION = 1") != shape("VERSION = 2")


@pytest.fixture
def known(tmp_path, monkeypatch) -> dict:
    """The table in a place of its own, with one kind whose code has moved since."""
    entries = {name: entry | {"note": "as it was"} for name, entry in guard.entries().items()}
    entries["stages.practice"]["digest"] = "another"
    monkeypatch.setattr(guard, "TABLE", tmp_path / "table.json")
    guard.TABLE.write_text(json.dumps(entries))
    return entries


@pytest.mark.slow
def test_code_that_moved_is_found_and_wants_a_reason(known):
    assert guard.moved() == ["stages.practice"]
    with pytest.raises(ValueError, match=r"say why the outputs of stages.practice are as before, or move VERSION"):
        guard.update("")
    assert guard.update("it is only faster") == ["stages.practice"] and guard.moved() == []
    assert guard.table()["stages.practice"]["note"] == "it is only faster"
    assert guard.table()["stages.sft"]["note"] == "as it was"


@pytest.mark.slow
def test_a_version_that_moved_needs_no_other_reason(known):
    known["stages.practice"]["version"] = 0
    guard.TABLE.write_text(json.dumps(known))
    assert guard.update("") == ["stages.practice"]
    assert guard.table()["stages.practice"]["note"] == f"version {guard.table()['stages.practice']['version']}"
