import json
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from astro_factory.core.artifacts import TABLE_FILES
from astro_factory.core.canonical import digest
from astro_factory.core.config import TemplateSource
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.step_format import StepFormat
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.trees import Tree, TreeNode, schema_with_steps, tree_schema
from astro_factory.core.votes import vote_schema
from astro_factory.stages.linearize import VERSION, Config, run
from astro_factory.traces.template_loader import compile_template
from astro_factory.traces.template_renderer import TemplateRenderer
from astro_factory.traces.trace_parser import parse
from tests.stages.test_practice import NoItems, Recorded
from tests.traces.trees import countdown_tree
from tests.training.tiny import make_model

COUNTDOWN, DIRECT = (
    compile_template(f"reflection/{name}.jinja", [shipped_folder("templates")]) for name in ("countdown", "direct")
)


def trees() -> list[Tree]:
    """Two that a trace can be made of, one whose only ends are right, and one without a right end."""
    puzzles = [((4, 10, 3), 17), ((5, 9, 2), 12), ((6, 1), 7), ((2, 1), 40)]
    made = [countdown_tree(numbers, target, f"cd-{index}") for index, (numbers, target) in enumerate(puzzles)]
    del made[2].nodes[2:]
    return made


def linearize(
    out: Path,
    made: list[Tree] | None = None,
    other: Path | None = None,
    inputs: dict | None = None,
    events: Recorded | None = None,
    **fields,
) -> tuple[list, dict]:
    """Rows and statistics."""
    folder = out.parent / f"{out.name}-trees"
    for path in (out, folder):
        path.mkdir()
    write_table(
        folder / "trees.parquet", (tree.as_row() for tree in (trees() if made is None else made)), tree_schema()
    )
    inputs = {"trees": folder} | ({"other": other} if other else {}) | (inputs or {})
    ctx = StageContext("traces", inputs, {}, out, out, NoItems(), events or Recorded())
    run(ctx, Config(**{"kind": "linearize", "trees": "trees", "template": COUNTDOWN} | fields))
    assert ctx.events.points[-1][:2] == (len(made or trees()), len(made or trees()))
    return read_table(out / TABLE_FILES["traces"]), json.loads((out / "statistics.json").read_text())


def test_one_direct_and_three_searches_a_problem(tmp_path):
    rows, statistics = linearize(tmp_path / "out", wrong_branches=[0, 2])
    assert Counter(row["problem_id"] for row in rows) == {"cd-0": 4, "cd-1": 4, "cd-2": 1}
    counts = [row["num_wrong"] for row in rows if row["problem_id"] == "cd-0"]
    assert counts[0] == 0 and set(counts[1:]) <= {1, 2}
    assert statistics["problems"] == 4
    assert statistics["problems_used"] == 3
    assert statistics["problems_dropped"] == {"no_right_end": 1}
    assert statistics["traces_dropped"] == {"no_right_end": 4, "no_wrong_end": 3}
    assert statistics["traces"] == len(rows) == 9
    assert statistics["backtracks"] == {
        str(n): c for n, c in sorted(Counter(row["num_backtracks"] for row in rows).items())
    }


@pytest.mark.parametrize(
    ("mixed", "fields", "warns"),
    [
        (1, {"per_problem": 1, "wrong_branches": {"natural": 0.5, "uniform": [0, 6]}}, True),
        (1, {}, True),  # one direct trace of each tree, and three of one
        (1, {"per_problem": {"direct": 1, "search": 0}}, False),  # not asked for
        (1, {"per_problem": 1, "wrong_branches": {0: 1, 2: 0}}, False),
        (8, {"per_problem": 1, "wrong_branches": 1}, False),
    ],
)
def test_warns_of_traces_without_search(tmp_path, mixed, fields, warns):
    """Of 80 trees only some have a wrong end beside the right one."""
    made = [countdown_tree((6, 1), 7, f"cd-{index}") for index in range(80)]
    for tree in made[mixed:]:
        del tree.nodes[2:]
    events = Recorded()
    linearize(tmp_path / "out", made, events=events, **fields)
    assert any("have a wrong branch" in line for line in events.lines) == warns


def test_rows_hold_together(tmp_path):
    rows, statistics = linearize(tmp_path / "out", per_problem=20, wrong_branches={"natural": 0.6, "uniform": [0, 6]})
    wording, by_id = TemplateRenderer(COUNTDOWN), {tree.problem.id: tree for tree in trees()}
    for row in rows:
        tree, (user, assistant) = by_id[row["problem_id"]], row["messages"]
        assert user == {"role": "user", "content": tree.problem.question}
        assert assistant["role"] == "assistant"
        text = assistant["content"]
        assert text.endswith("Yes .\n" + tree.nodes[row["node_sequence"][-1]].closing)
        assert all(text[part["start"] : part["end"]] == part["text"] for part in row["segments"])
        assert parse(text, tree, wording) == row["node_sequence"]
        assert row["num_backtracks"] == row["num_wrong"] == text.count("Go back")
        assert row["template"] == "reflection/countdown.jinja"
    assert max(row["num_wrong"] for row in rows) > 2
    assert statistics["characters_longest"] == max(len(row["messages"][1]["content"]) for row in rows)


def test_equal_inputs_give_equal_bytes_and_other_seeds_others(tmp_path):
    linearize(tmp_path / "a")
    linearize(tmp_path / "b")
    linearize(tmp_path / "c", seed=1)
    a, b, c = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "abc")
    assert a == b
    assert a != c


GOLDEN = json.loads((Path(__file__).parent / "linearize_golden.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_the_same_seed_gives_the_same_rows_on_every_machine(tmp_path, case):
    """A digest that moves is a changed output: then `VERSION` moves, too."""
    template = compile_template(f"reflection/{case['template']}.jinja", [shipped_folder("templates")])
    rows, _ = linearize(tmp_path / "out", template=template, **case["fields"])
    assert (case["version"], digest(rows)) == (VERSION, case["digest"])


def test_a_trace_depends_on_no_other_tree(tmp_path):
    rows, _ = linearize(tmp_path / "all")
    alone, _ = linearize(tmp_path / "one", trees()[1:2])
    assert alone == [row for row in rows if row["problem_id"] == "cd-1"]


def test_the_control_arm_has_the_same_ends_and_no_detour(tmp_path):
    rows, _ = linearize(tmp_path / "astro", per_problem=5, wrong_branches=2)
    direct, statistics = linearize(tmp_path / "direct", other=tmp_path / "astro", match_count="other", template=DIRECT)
    assert [row["problem_id"] for row in direct] == [row["problem_id"] for row in rows]
    assert [row["node_sequence"][-1] for row in direct] == [row["node_sequence"][-1] for row in rows]
    assert {row["num_wrong"] for row in direct} == {0}
    assert {part["kind"] for row in direct for part in row["segments"]} == {"step", "answer"}
    assert statistics["problems_dropped"] == {"not_matched": 1}


def test_long_traces_can_be_left_out(tmp_path):
    rows, statistics = linearize(tmp_path / "out", per_problem=5, wrong_branches={0: 0.5, 4: 0.5}, max_chars=200)
    assert 0 < len(rows) < 15
    assert all(len(row["messages"][1]["content"]) <= 200 for row in rows)
    assert statistics["traces_dropped"]["too_long"] == 15 - len(rows)


def test_short_ones_too(tmp_path):
    rows, statistics = linearize(tmp_path / "out", wrong_branches=[0, 4], per_problem=5, min_chars=150)
    assert all(len(row["messages"][1]["content"]) >= 150 for row in rows)
    assert statistics["traces_dropped"]["too_short"] + len(rows) == 15


def test_traces_that_go_the_same_way_can_be_left_out(tmp_path):
    rows, statistics = linearize(tmp_path / "out", per_problem=20, wrong_branches=[0, 1], max_overlap=0.99)
    ways = [(row["problem_id"], *row["node_sequence"]) for row in rows]
    assert len(set(ways)) == len(ways) == 60 - statistics["traces_dropped"]["too_similar"]
    few, _ = linearize(tmp_path / "few", per_problem=20, wrong_branches=[0, 1], max_overlap=0)
    assert 0 < len(few) < len(rows)


@pytest.mark.parametrize("most", [1, 5, 6, 9, 100])
def test_of_all_traces_the_first_ones_can_be_enough(tmp_path, most):
    rows, _ = linearize(tmp_path / "all")
    first, statistics = linearize(tmp_path / "first", max_traces=most)
    assert first == rows[:most]
    assert statistics["traces"] == len(first)


def test_branches_given_up_early_have_fewer_wrong_ends_than_backtracks(tmp_path):
    rows, statistics = linearize(tmp_path / "out", per_problem=9, wrong_branches=2, early={"share": 1})
    assert statistics["wrong_ends_mean"] < statistics["backtracks_mean"]
    assert sum(row["num_wrong"] for row in rows) == sum(int(n) * c for n, c in statistics["wrong_ends"].items())
    by_id = {tree.problem.id: tree for tree in trees()}
    for row in rows:
        text = row["messages"][1]["content"]
        assert parse(text, by_id[row["problem_id"]], TemplateRenderer(COUNTDOWN)) == row["node_sequence"]
        assert text.count("Go back") == row["num_backtracks"]


def test_tokens_are_counted_by_a_models_tokenizer(tmp_path):
    rows, statistics = linearize(tmp_path / "out", inputs={"m": make_model(tmp_path / "m")}, tokenizer="m")
    assert all(row["num_tokens"] == len(row["messages"][1]["content"].split()) for row in rows)
    assert statistics["tokens"] == sum(row["num_tokens"] for row in rows)


def test_a_model_without_a_tokenizer_cannot_count(tmp_path):
    assert fail(tmp_path, inputs={"m": tmp_path}, tokenizer="m") == (
        "E323 'm' has no tokenizer.json to count tokens by; "
        "name a model with a fast tokenizer, or leave 'tokenizer' out"
    )


def test_steps_that_are_given_up_can_be_left_unlearned(tmp_path):
    """The rest of the row is as without."""
    rows, _ = linearize(tmp_path / "masked", wrong_branches=2, learn_wrong_steps=False)
    plain, _ = linearize(tmp_path / "plain", wrong_branches=2)
    by_id = {tree.problem.id: tree for tree in trees()}
    for row in rows:
        right = by_id[row["problem_id"]].path(row["node_sequence"][-1])
        for part in row["segments"]:
            assert part.pop("learned") == (part["kind"] != "step" or part["node"] in right)
    assert rows == plain


def test_segments_have_the_weight_of_their_kind(tmp_path):
    """The rest of the row is as without; a kind that is not named counts in full."""
    rows, _ = linearize(tmp_path / "weighed", wrong_branches=2, loss_weights={"wrong_step": 0.2, "backtrack": 3})
    masked, _ = linearize(tmp_path / "masked", wrong_branches=2, learn_wrong_steps=False)
    found = set()
    for row, other in zip(rows, masked, strict=True):
        for part, beside in zip(row["segments"], other["segments"], strict=True):
            weight, learned = part.pop("weight"), beside.pop("learned")
            found.add((part["kind"], learned, weight))
    assert rows == masked
    assert found >= {("step", True, 1.0), ("step", False, 0.2), ("backtrack", True, 3.0), ("answer", True, 1.0)}
    assert {kind: weight for kind, learned, weight in found if learned and weight != 1} == {"backtrack": 3.0}


def votes(folder: Path, rows: list[tuple[str, int, int]]) -> dict[str, Path]:
    """Ends that so many of four votes speak for."""
    folder.mkdir()
    table = [{"problem_id": problem, "node": node, "votes": 4, "in_favour": yes} for problem, node, yes in rows]
    write_table(folder / TABLE_FILES["votes"], table, vote_schema())
    return {"votes": folder}


def test_a_trace_leads_to_a_trusted_end(tmp_path):
    right = [index for index in trees()[0].terminals() if trees()[0].nodes[index].verdict == "correct"]
    given = votes(tmp_path / "votes", [("cd-0", right[0], 4), ("cd-0", right[1], 3), ("cd-0", right[2], 2)])
    for rule, ends in (("unanimous", right[:1]), ("majority", right[:2])):
        rows, statistics = linearize(
            tmp_path / rule, inputs=given, per_problem=30, self_evaluation={"votes": "votes", "rule": rule}
        )
        assert {row["problem_id"] for row in rows} == {"cd-0"}
        assert {row["node_sequence"][-1] for row in rows} == set(ends)
        assert statistics["problems_dropped"] == {"no_right_end": 1, "no_trusted_end": 2}


HOSTILE = ["", "a\x00b", "a\u202eb", "<|eot_id|>", "so I Go back to where we had 4", "\x1b[31m"]
HARMLESS = ["\u05e9\u05dc\u05d5\u05dd", "two\nlines", "4 < 5 | 6 > 5", "Go on", "Wait , 17 - 17 = 0 Yes ."]


@pytest.mark.parametrize(("text", "kept"), [(t, False) for t in HOSTILE] + [(t, True) for t in HARMLESS])
def test_steps_that_are_not_clean_are_counted_and_skipped(tmp_path, text, kept):
    made = trees()[:2]
    for node in made[0].nodes:
        if node.parent == 0:
            node.text = text
    rows, statistics = linearize(tmp_path / "out", made, per_problem=3)
    assert ({row["problem_id"] for row in rows} == {"cd-0", "cd-1"}) == kept
    assert statistics["traces_dropped"] == ({} if kept else {"unclean_step": 3})


@pytest.mark.parametrize(("text", "kept"), [(t, not t) for t in HOSTILE] + [(t, True) for t in HARMLESS])
def test_so_are_answers_that_are_not(tmp_path, text, kept):
    """The line that states the answer is the model's, too; there need not be one."""
    made = trees()[:2]
    for node in made[0].nodes:
        node.closing = text and f"answer {text}" if node.terminal else ""
    rows, statistics = linearize(tmp_path / "out", made, per_problem=3)
    assert ({row["problem_id"] for row in rows} == {"cd-0", "cd-1"}) == kept
    assert statistics["traces_dropped"] == ({} if kept else {"unclean_step": 3})


def test_of_many_wrong_ends_with_one_answer_a_trace_visits_one(tmp_path):
    made = trees()[0]
    for node in made.nodes:
        if node.terminal and node.verdict != "correct":
            node.answer = "5"
    rows, _ = linearize(tmp_path / "out", [made], per_problem=10, wrong_branches=4)
    assert {row["num_wrong"] for row in rows} == {1} and len(rows) == 10


def test_a_trace_without_its_answer_is_skipped(tmp_path):
    text = "{% block answer %}{% if node.facts.target != '17' %}{{ node.closing }}{% endif %}{% endblock %}"
    forgetful = TemplateSource(entry="a.jinja", sources={"a.jinja": text})
    rows, statistics = linearize(tmp_path / "out", template=forgetful)
    assert "cd-0" not in {row["problem_id"] for row in rows} and rows
    assert statistics["traces_dropped"]["no_answer"] == 4


def test_a_tree_of_one_node_or_of_ten_thousand(tmp_path):
    root = Tree(trees()[0].problem, trees()[0].nodes[:1])
    wrong, right = {"terminal": True, "verdict": "incorrect"}, {"terminal": True, "verdict": "correct", "answer": "7"}
    nodes = [TreeNode(-1, "")]
    nodes += [TreeNode(index, f"step {index}", value=0.5) for index in range(5000)]
    nodes += [TreeNode(index, f"end {index}", answer=str(index), **wrong) for index in range(4999)]
    deep = Tree(Problem("deep", "?", "7", "sample"), [*nodes, TreeNode(5000, "right", **right)])
    rows, statistics = linearize(tmp_path / "out", [root, deep], template=DIRECT)
    assert statistics["problems_dropped"] == {"no_right_end": 1}
    assert [len(row["node_sequence"]) > 5000 for row in rows] == [True] * 4


def fail(tmp_path, **fields) -> str:
    with pytest.raises(UserError) as error:
        linearize(tmp_path / "out", **fields)
    return str(error.value)


WITHOUT = {
    "correct terminals": {"made": trees()[3:]},
    "wrong terminals": {"made": trees()[2:3], "per_problem": {"direct": 0, "search": 2}},
    "short traces": {"max_chars": 5},
}


@pytest.mark.parametrize("fields", WITHOUT.values(), ids=WITHOUT)
def test_no_trace_at_all_is_an_error_with_a_remedy(tmp_path, fields, golden):
    message = fail(tmp_path, **fields)
    assert message.startswith("E321 ")
    golden(message)


def test_traces_of_other_trees_cannot_be_matched(tmp_path, golden):
    linearize(tmp_path / "astro")
    only = trees()[:1]
    message = fail(tmp_path, made=only, other=tmp_path / "astro", match_count="other")
    assert message.startswith("E322 ")
    golden(message)
    wrong = trees()
    for node in wrong[0].nodes:
        node.verdict = "incorrect"
    (tmp_path / "again").mkdir()
    message = fail(tmp_path / "again", made=wrong, other=tmp_path / "astro", match_count="other")
    assert "problem cd-0 has one, but node" in message


def test_a_fact_that_a_tree_lacks_is_told_at_its_place_in_the_template(tmp_path):
    made = trees()
    for node in made[0].nodes:
        node.facts.pop("left")
    message = fail(tmp_path, made=made)
    assert message.startswith("reflection/countdown.jinja:")
    assert "E311 rendering failed: 'dict object' has no attribute 'left'" in message


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"match_count": "t", "per_problem": 2}, "'match_count' decides what traces there are; remove 'per_problem'"),
        ({"match_count": "t", "max_traces": 2}, "'match_count' decides what traces there are; remove 'max_traces'"),
        ({"per_problem": {"direct": 0, "search": 0}}, "asks for no trace at all"),
        ({"per_problem": 0}, "greater than 0"),
        ({"loss_weights": {"step": -1}}, "greater than or equal to 0"),
        ({"loss_weights": {}, "learn_wrong_steps": False}, "'loss_weights' says what is learned; remove 'learn_wrong_"),
    ],
)
def test_what_is_no_configuration(fields, message):
    with pytest.raises(ValidationError) as error:
        Config(kind="linearize", trees="trees", template=COUNTDOWN, **fields)
    assert error.value.error_count() == 1
    assert message in str(error.value)


def test_steps_are_written_as_the_search_wrote_them(tmp_path):
    """The format stands in the trees' table; the stage's own `steps` takes its place."""
    folder, headings = tmp_path / "trees", StepFormat(format="heading")
    folder.mkdir()
    write_table(folder / "trees.parquet", (tree.as_row() for tree in trees()), schema_with_steps(headings))
    rows, _ = linearize(tmp_path / "a", inputs={"trees": folder})
    own, _ = linearize(tmp_path / "b", inputs={"trees": folder}, steps={"format": "blank_line"})
    for row in rows:
        steps = [part["text"] for part in row["segments"] if part["kind"] == "step"]
        assert [step.partition(":")[0] for step in steps] == [f"## Step {n}" for n in range(1, len(steps) + 1)]
        text, tree = row["messages"][1]["content"], trees()[int(row["problem_id"][-1])]
        assert parse(text, tree, TemplateRenderer(COUNTDOWN), headings) == row["node_sequence"]
    assert [row["node_sequence"] for row in own] == [row["node_sequence"] for row in rows]
    assert all("\n\n" in row["messages"][1]["content"] and "##" not in row["messages"][1]["content"] for row in own)


def test_a_template_that_quotes_a_whole_long_step_costs_the_trace(tmp_path):
    tree = countdown_tree()
    for node in tree.nodes[1:]:
        node.text += " and so on" * 400
    folder, quoting = tmp_path / "trees", "{% block backtrack %}Back to {{ target.text }}{% endblock %}"
    folder.mkdir()
    write_table(folder / "trees.parquet", [tree.as_row()], schema_with_steps(StepFormat(format="blank_line")))
    template = TemplateSource(entry="mine.jinja", sources={"mine.jinja": quoting})
    fields = {"template": template, "wrong_branches": [1, 3], "merge": "deepest"}
    rows, statistics = linearize(tmp_path / "a", [tree], inputs={"trees": folder}, **fields)
    assert len(rows) < 4 and statistics["traces_dropped"] == {"long_quote": 4 - len(rows)}
    assert all(len(part["text"]) < 1000 for row in rows for part in row["segments"] if part["kind"] == "backtrack")
