"""The stages that ask a model about ready things: votes on right ends, other words for a trace."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from astro_factory.core.artifacts import TABLE_FILES
from astro_factory.core.config import TemplateSource
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.trees import tree_schema
from astro_factory.core.votes import trusted_terminals
from astro_factory.stages import judge, rewrite
from astro_factory.traces.prompt_templates import Prompt
from astro_factory.traces.response_parser import match_sequence
from astro_factory.traces.template_loader import compile_template
from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer
from astro_factory.verifiers import get_verifier
from tests.stages.test_linearize import linearize, trees
from tests.stages.test_practice import Recorded
from tests.stages.test_search import Items
from tests.traces.test_rewriting import (
    NEW_BACK,
    NEW_END,
    NEW_RIGHT,
    NEW_SET_UP,
    NEW_WRONG,
    PAPER,
    RIGHT,
    SET_UP,
    WRONG,
    area_tree,
)

COUNTDOWN = compile_template("reflection/countdown.jinja", [shipped_folder("templates")])
BACK = "Go back to where we had"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tokenizer is all that the scripted engine wants of a model."""
    folder = tmp_path_factory.mktemp("model")
    build_tokenizer([], 0, CHAT_FORMATS["minimal"], 4096).save_pretrained(folder)
    return folder


def ran(module, root: Path, inputs: dict[str, Path], items=None, events=None, **fields) -> Path:
    """The output's folder; every input has its own name as its digest."""
    out = root / "out"
    out.mkdir(parents=True)
    digests, items = {name: name for name in inputs}, items or Items(root / "items")
    ctx = StageContext("asked", inputs, digests, out, root, items, events or Recorded())
    module.run(ctx, module.Config(**fields))
    return out


def answering(**responses: list[str]) -> dict:
    """Every prompt that ends so (a line break follows the user's words) has these responses."""
    return {"kind": "scripted", "responses": {f"{end}\n" if end else "": said for end, said in responses.items()}}


def asking(user: str) -> TemplateSource:
    """A prompt that says this."""
    return TemplateSource(entry="p.jinja", sources={"p.jinja": f"{{% block user %}}{user}{{% endblock %}}"})


def judged(root: Path, model: Path, items=None, responses=None, events=None, **fields) -> tuple[list[dict], Path]:
    source = root / "trees"
    source.mkdir(parents=True)
    write_table(source / "trees.parquet", [tree.as_row() for tree in trees()], tree_schema())
    engine = responses or answering(**{"17 17": ["Yes", "No"], "": ["yes ."]})
    prompt = asking("{{ node.facts.result }} {{ node.facts.target }}")
    fields = {"votes": 4, "prompt": prompt, "in_favour": "YES"} | fields
    inputs = {"trees": source, "model": model}
    out = ran(judge, root, inputs, items, events, kind="judge", trees="trees", model="model", engine=engine, **fields)
    return read_table(out / TABLE_FILES["votes"]), out / TABLE_FILES["votes"]


def test_every_right_end_is_voted_on(tmp_path, model):
    rows, path = judged(tmp_path, model)
    right = {
        (tree.problem.id, index)
        for tree in trees()
        for index in tree.terminals()
        if tree.nodes[index].verdict == "correct"
    }
    assert {(row["problem_id"], row["node"]) for row in rows} == right
    assert {row["votes"] for row in rows} == {4}
    assert all(row["in_favour"] == 4 for row in rows if row["problem_id"] != "cd-0")
    split = {row["in_favour"] for row in rows if row["problem_id"] == "cd-0"}
    assert split - {0, 4}
    unanimous, majority = trusted_terminals(path, unanimous=True), trusted_terminals(path, unanimous=False)
    assert len(majority.get("cd-0", ())) == sum(row["in_favour"] > 2 for row in rows if row["problem_id"] == "cd-0")
    assert unanimous["cd-1"] == majority["cd-1"]


def test_wrong_ends_are_voted_on_if_asked_and_share_the_votes_on_right_ones(tmp_path, model):
    items = Items(tmp_path / "items")
    right, _ = judged(tmp_path / "right", model, items)
    known = items.puts
    rows, path = judged(tmp_path / "all", model, items, ends="all")
    found = {(row["problem_id"], row["node"]): row for row in rows}
    ends = {
        (tree.problem.id, index): tree.nodes[index]
        for tree in trees()
        for index in tree.terminals()
        if tree.nodes[index].verdict in ("correct", "incorrect")
    }
    assert set(found) == set(ends) and len(found) > len(right)
    assert {name: (row["verdict"], row["answer"]) for name, row in found.items()} == {
        name: (node.verdict, node.answer) for name, node in ends.items()
    }
    assert all(found[row["problem_id"], row["node"]].items() >= row.items() for row in right)
    assert items.puts == known + 4 * (len(found) - len(right))
    read_back = trusted_terminals(path, unanimous=True)
    assert set(read_back["cd-1"]) >= set(trusted_terminals(tmp_path / "right/out/votes.parquet", True)["cd-1"])


def test_a_vote_is_asked_for_with_the_solution(tmp_path, model):
    """What the shipped prompt asks ends as the scripted engine expects it, for the ends of one tree only."""
    prompt = compile_template("judge/solution.jinja", [shipped_folder("templates")], "judge")
    said = Prompt(prompt, "judge")
    tree = trees()[0]
    end = next(index for index in tree.terminals() if tree.nodes[index].verdict == "correct")
    solution = "\n".join(tree.nodes[index].text for index in tree.path(end))
    [message] = said.messages({"problem": tree.problem, "node": tree.nodes[end], "solution": solution})
    assert message["role"] == "user"
    assert message["content"].startswith(f"Problem: {tree.problem.question}\n\nSolution:\n{solution}\n\nDoes this")


def test_what_is_sampled_is_told(tmp_path, model):
    events = Spent()
    rows, _ = judged(tmp_path, model, events=events)
    assert events.calls == 4 * len(rows) and events.tokens >= events.calls


class Spent(Recorded):
    """Adds up what a stage says it spent."""

    tokens = calls = 0

    def spent(self, tokens: int = 0, calls: int = 0) -> None:
        self.tokens, self.calls = self.tokens + tokens, self.calls + calls


def test_votes_that_are_there_ask_no_model(tmp_path, model):
    items = Items(tmp_path / "items")
    first, _ = judged(tmp_path / "a", model, items)
    broken = answering(**{"nothing that is asked": ["x"]})
    stored = items.puts
    with pytest.raises(UserError, match="E608"):
        judged(tmp_path / "b", model, items, broken)
    again, _ = judged(tmp_path / "c", model, items)
    assert (again, items.puts) == (first, stored)


def test_processes_change_no_vote(tmp_path, model):
    alone, _ = judged(tmp_path / "alone", model)
    assert judged(tmp_path / "two", model, processes=2, group=1)[0] == alone


def test_a_killed_run_keeps_every_sample(tmp_path, model):
    """Samples are stored one by one, so the resumed run generates only those that are missing."""
    whole, _ = judged(tmp_path / "whole", model)
    items, events = Items(tmp_path / "items", end_after=3), Spent()
    with pytest.raises(KeyboardInterrupt):
        judged(tmp_path / "killed", model, items)
    items.end_after = None
    assert judged(tmp_path / "resumed", model, items, events=events)[0] == whole
    assert events.calls == 4 * len(whole) - 3


def test_a_vote_in_favour_says_something():
    with pytest.raises(ValidationError, match="is blank"):
        judge.Config(
            kind="judge", trees="t", model="m", engine=answering(**{"": ["x"]}), in_favour=" ", prompt=asking("?")
        )


def rewritten(root: Path, model: Path, said: dict[str, list[str]], **fields) -> tuple[list[dict], list[dict], dict]:
    """The traces as they were, as they are, and the statistics. Prompts are the lines alone."""
    root.mkdir(exist_ok=True)
    before, _ = linearize(root / "traces", trees(), wrong_branches=2, template=fields.get("template", COUNTDOWN))
    inputs = {"trees": root / "traces-trees", "traces": root / "traces", "model": model}
    fields = {
        "prompt": asking("{{ line }}"),
        "template": COUNTDOWN,
        "engine": answering(**said),
        "what": "moves",
    } | fields
    out = ran(rewrite, root / "stage", inputs, kind="rewrite", traces="traces", trees="trees", model="model", **fields)
    return before, read_table(out / TABLE_FILES["traces"]), json.loads((out / "statistics.json").read_text())


def lines(rows: list[dict]) -> list[str]:
    return [line for row in rows for line in row["messages"][-1]["content"].split("\n")]


LINE = "16 - 12 = 4 No . Go back to where we had 5 9 2"
GOOD = "Hmm . 16 - 12 = 4 is off . Go back to where we had 5 9 2"


def test_words_change_and_nothing_else(tmp_path, model):
    """The prompt ends with the line, or with its second half."""
    before, after, statistics = rewritten(tmp_path, model, {LINE: [GOOD], "": ["x"]})
    by_id = {tree.problem.id: tree for tree in trees()}
    changed = lines(after).count(GOOD)
    assert statistics["lines_reworded"] == changed > 0
    old_lines = lines(before)
    assert [line for line in lines(after) if line != GOOD] == [line for line in old_lines if not line.endswith(LINE)]
    for old, new in zip(before, after, strict=True):
        text = new["messages"][-1]["content"]
        assert match_sequence(text, by_id[new["problem_id"]]) == new["node_sequence"] == old["node_sequence"]
        assert all(text[part["start"] : part["end"]] == part["text"] for part in new["segments"])
        assert text.count(BACK) == new["num_backtracks"]
    assert statistics["refused"] == {"other_numbers": statistics["lines"] - changed}


REFUSED = [
    ("", "empty"),
    ("two\nlines", "several_lines"),
    ("so long " * 99, "too_long_or_unclean"),
    ("a\x00b", "too_long_or_unclean"),
    ("I'm sorry, but I can't help with that.", "no_rewording"),
    ("Here is the line: 16 - 12 = 4", "no_rewording"),
    ("Das ist leider nicht richtig, also gehe ich nun einen Schritt weiter", "other_language"),
    ("\u7b54\u6848\u4e0d\u5bf9", "other_language"),
    ("It is no good", "other_numbers"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_says_something_else_is_refused_and_counted(tmp_path, model, text, reason):
    before, after, statistics = rewritten(tmp_path, model, {"": [text]}, max_tokens=2000)
    assert after == before
    assert statistics["lines_reworded"] == statistics["traces_reworded"] == 0
    assert statistics["refused"] == {reason: statistics["lines"]}


def test_words_for_going_back_have_to_stay(tmp_path, model):
    said = {LINE: ["16 - 12 = 4 . Return to 5 9 2"], "": [""]}
    before, after, statistics = rewritten(tmp_path, model, said)
    assert after == before and statistics["refused"]["other_marker"] > 0


def test_a_trace_that_is_not_read_as_it_was_made_stays_and_is_counted(tmp_path, model):
    """Each line could be taken by itself. The last words are the template's own, so the text has no sequence."""
    text = '{% extends "reflection/countdown.jinja" %}{% block answer %}So {{ node.closing }}{% endblock %}'
    template = TemplateSource(entry="mine.jinja", sources={"mine.jinja": text, **COUNTDOWN.sources})
    said = {LINE: [GOOD], "": [""]}
    _, _, taken = rewritten(tmp_path / "a", model, said)
    before, after, refused = rewritten(tmp_path / "b", model, said, template=template)
    assert after == before and refused["traces_reworded"] == refused["lines_reworded"] == 0
    assert refused["refused"]["traces"] == taken["traces_reworded"] > 0


def test_another_attempt_may_be_taken(tmp_path, model):
    said = {LINE: [GOOD, "no", "no"], "": ["no"]}
    _, _, once = rewritten(tmp_path / "a", model, said)
    _, _, often = rewritten(tmp_path / "b", model, said, attempts=20)
    assert once["lines_reworded"] < often["lines_reworded"]


AREA = {
    SET_UP: [NEW_SET_UP],
    WRONG: [NEW_WRONG],
    RIGHT: [NEW_RIGHT],
    f'Let\'s go back to "{NEW_SET_UP}"': [NEW_BACK],
    "": [NEW_END],
}


def area_rewritten(root: Path, model: Path, items=None, events=None, **fields) -> tuple[dict, dict]:
    """The row of the only trace in prose, and the statistics."""
    root.mkdir()
    linearize(root / "traces", [area_tree()], wrong_branches=1, per_problem=1, template=PAPER)
    inputs = {"trees": root / "traces-trees", "traces": root / "traces", "model": model}
    fields = {"prompt": asking(EXAMPLES_AND_LINE), "template": PAPER, "engine": answering(**AREA)} | fields
    names = {"traces": "traces", "trees": "trees", "model": "model"}
    out = ran(rewrite, root / "stage", inputs, items, events, kind="rewrite", **names, **fields)
    [row] = read_table(out / TABLE_FILES["traces"])
    return row, json.loads((out / "statistics.json").read_text())


EXAMPLES_AND_LINE = "{# we have to go on with what follows from the first step of it, which is wrong #}{{ line }}"
"""Words of the prompt's file count as known."""


def test_steps_and_moves_of_a_solution_are_worded_in_turn(tmp_path, model):
    row, statistics = area_rewritten(tmp_path / "one", model)
    text = row["messages"][-1]["content"]
    assert text.split("\n") == [NEW_SET_UP, NEW_WRONG, NEW_BACK, NEW_RIGHT, NEW_END]
    assert statistics == {"traces": 1, "traces_reworded": 1, "lines": 5, "lines_reworded": 5, "refused": {}}
    verdict = get_verifier("math").verify(area_tree().problem, text)
    assert verdict.correct and row["node_sequence"][-1] == 3
    assert area_rewritten(tmp_path / "two", model, processes=2) == (row, statistics)


def test_without_ray_the_error_names_its_package(tmp_path, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"E619 `backend: ray` needs the package 'ray'"):
        area_rewritten(tmp_path / "a", model, backend="ray")


def test_a_killed_run_continues_in_the_middle_of_a_trace(tmp_path, model):
    whole = area_rewritten(tmp_path / "whole", model)
    items, events = Items(tmp_path / "items", end_after=3), Spent()
    with pytest.raises(KeyboardInterrupt):
        area_rewritten(tmp_path / "killed", model, items)
    items.end_after = None
    assert area_rewritten(tmp_path / "resumed", model, items, events) == whole
    assert events.calls == 2


def test_another_answer_in_the_reworded_text_is_refused(tmp_path, model, monkeypatch):
    """The checks of single steps would not find it; the verifier does."""
    monkeypatch.setattr("astro_factory.traces.rewriting.boxed", lambda text: [])
    monkeypatch.setattr("astro_factory.traces.rewriting.claims", lambda text: Counter())
    swapped = NEW_RIGHT.replace(r"6 * 4 = \boxed{24}", r"24 from \boxed{6} and 4")
    row, statistics = area_rewritten(tmp_path / "a", model, engine=answering(**AREA | {RIGHT: [swapped]}), what="steps")
    assert RIGHT in row["messages"][-1]["content"]
    assert statistics["refused"] == {"answers": 1} and statistics["traces_reworded"] == 0


def test_traces_of_other_trees_are_refused(tmp_path, model, golden):
    linearize(tmp_path / "traces", trees())
    linearize(tmp_path / "others", trees()[1:2])
    inputs = {"trees": tmp_path / "others-trees", "traces": tmp_path / "traces", "model": model}
    with pytest.raises(UserError) as error:
        ran(rewrite, tmp_path / "stage", inputs, kind="rewrite", traces="traces", trees="trees", model="model",
            template=COUNTDOWN, engine=answering(**{"": ["x"]}), prompt=asking("{{ line }}"))  # fmt: skip
    assert error.value.diagnostics[0].code == "E322"
    golden(str(error.value))
