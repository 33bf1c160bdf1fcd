"""The lock file: what is in it, what `--locked` refuses, what `lock` moves; the Hub is a local one."""

import json
import re
from pathlib import Path

import pytest

from astro_factory.core.errors import UserError
from astro_factory.plan import locks
from astro_factory.plan.locks import check_locked, commits_for, refresh
from astro_factory.spec import compile_spec

SPEC = """\
factory: 1
name: locked
models: {base: {kind: hub, repo: org/model}, other: {kind: hub, repo: org/other, revision: v2}}
problems:
  mine: {kind: file, path: problems.jsonl}
  fixed: {kind: hub, repo: org/problems, revision: COMMIT}
stages:
  traces: {kind: linearize, trees: trees, template: words.jinja}
  trees: {kind: search, model: base, problems: mine, policy: {kind: mcts}, engine: {kind: transformers}}
profiles: {more: {stages.trees.model: other}}
""".replace("COMMIT", "c" * 40)


WORDS = Path(__file__).parents[2] / "templates/reflection/terse.jinja"
OUTSIDE = ["files/problems.jsonl", "templates/reflection/shared/words.jinja", "templates/words.jinja"]


@pytest.fixture
def heads(monkeypatch) -> dict[str, str]:
    """A Hub on which each repository is at this commit; `tests/cli/test_network.py` asks a real client."""
    heads = {"org/model": "a" * 40, "org/other": "b" * 40}
    monkeypatch.setattr(locks, "_resolve", lambda node: heads[node.config.repo])
    return heads


@pytest.fixture
def spec(tmp_path, heads) -> Path:
    path = tmp_path / "locked.yaml"
    path.write_text(SPEC)
    (tmp_path / "words.jinja").write_text(WORDS.read_text())
    (tmp_path / "problems.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n')
    return path


def codes(spec: Path, **more) -> list[str]:
    with pytest.raises(UserError) as caught:
        check_locked(compile_spec(spec, **more))
    return [str(found) for found in caught.value.diagnostics]


def table(spec: Path) -> dict[str, str]:
    return json.loads(Path(f"{spec}.lock").read_text())


def test_lock_writes_everything_outside_the_spec(spec):
    moved = refresh(compile_spec(spec))
    assert table(spec).keys() == {"models/org/model@main", *OUTSIDE}
    assert [entry.name for entry in moved] == sorted(table(spec)) and {entry.old for entry in moved} == {None}
    assert refresh(compile_spec(spec)) == []
    assert commits_for(compile_spec(spec), locked=True) == {"base": "a" * 40}


def test_locked_refuses_what_is_not_locked(spec, golden):
    found = codes(spec)
    assert found[0].startswith(f"{spec}:3:10 E143 ") and len(found) == 1 + len(OUTSIDE)
    golden("\n".join(found))
    assert not Path(f"{spec}.lock").exists()


@pytest.mark.parametrize("name", ["problems.jsonl", "words.jinja"])
def test_locked_refuses_files_that_were_changed(spec, name, golden):
    refresh(compile_spec(spec))
    path = spec.parent / name
    before = path.read_text()
    path.write_text(before + "\n")
    (message,) = codes(spec)
    assert message.startswith("E143 ") and name in message
    golden(re.sub(r"[0-9a-f]{12}", "DIGEST", message))
    (moved,) = refresh(compile_spec(spec))
    assert moved.name.endswith(name) and moved.old and str(moved) == f"{moved.name}: {moved.old:.12} -> {moved.new:.12}"
    check_locked(compile_spec(spec))


def test_locked_asks_the_hub_nothing_and_a_plan_adds_only_revisions(spec, monkeypatch):
    commits_for(compile_spec(spec))
    assert table(spec).keys() == {"models/org/model@main"}
    monkeypatch.setattr(locks, "_resolve", None)
    assert commits_for(compile_spec(spec), offline=True) == {"base": "a" * 40}


def test_update_moves_one_and_says_from_where(spec, heads):
    refresh(compile_spec(spec, profile="more"))
    refresh(compile_spec(spec))
    heads |= {"org/model": "d" * 40, "org/other": "e" * 40}
    assert refresh(compile_spec(spec)) == [], "what is locked stays"
    (moved,) = refresh(compile_spec(spec), ["base"])
    assert str(moved) == "models/org/model@main: aaaaaaaaaaaa -> dddddddddddd"
    assert moved.as_json() == {"name": "models/org/model@main", "old": "a" * 40, "new": "d" * 40}
    assert table(spec)["models/org/other@v2"] == "b" * 40


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("bse", "did you mean 'base'?"), ("fixed", "choices: base, other"), ("trees", "choices: base, other")],
)
def test_update_of_what_has_no_branch(spec, name, remedy, golden):
    with pytest.raises(UserError) as caught:
        refresh(compile_spec(spec), [name])
    (found,) = caught.value.diagnostics
    assert (found.code, found.remedy) == ("E144", remedy)
    golden(str(found))


def test_a_profile_has_entries_of_its_own(spec):
    refresh(compile_spec(spec))
    (message,) = codes(spec, profile="more")
    assert "models/org/other@v2 is not locked" in message
    refresh(compile_spec(spec, profile="more"))
    check_locked(compile_spec(spec, profile="more"))
    check_locked(compile_spec(spec))
