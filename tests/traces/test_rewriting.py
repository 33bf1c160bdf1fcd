"""Rewording of a trace in prose: what is asked in which order, what is accepted, and why something is refused."""

from collections import Counter
from typing import Any

import pytest

from astro_factory.core.problems import Problem
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.step_format import LINES, StepFormat, StepLayout
from astro_factory.core.trees import Tree, TreeNode
from astro_factory.traces.render import render, trace_text
from astro_factory.traces.rewording_checks import boxed, claims
from astro_factory.traces.rewriting import RewriteChecker, reword
from astro_factory.traces.template_loader import compile_template
from astro_factory.traces.template_renderer import TemplateRenderer
from astro_factory.traces.trace_table import trace_row

PAPER = compile_template("reflection/paper_reworded.jinja", [shipped_folder("templates")])
SET_UP = "Let the length be l, so 2l + 8 = 20."
WRONG = r"Then l = 12, and the area is 12 * 4 = \boxed{48}."
RIGHT = r"Then l = 6, and the area is 6 * 4 = \boxed{24}."
SEQUENCE = [0, 1, 2, 1, 3]


def area_tree() -> Tree:
    """One wrong and one right end after the same first step, and another first step."""
    question = "A rectangle has a perimeter of 20 and a width of 4. What is its area?"
    nodes = [
        TreeNode(-1, ""),
        TreeNode(0, SET_UP),
        TreeNode(1, WRONG, terminal=True, verdict="incorrect", answer="48"),
        TreeNode(1, RIGHT, terminal=True, verdict="correct", answer="24"),
        TreeNode(0, "Half of the perimeter of 20 is one length and one width."),
    ]
    return Tree(Problem("area", question, "24", "math"), nodes)


def area_row() -> dict[str, Any]:
    tree = area_tree()
    return trace_row(tree, SEQUENCE, render(tree, SEQUENCE, TemplateRenderer(PAPER), 0), "paper", 7)


def worded(
    said: dict[str, str], what: Any = "both", row: dict[str, Any] | None = None, layout: StepLayout = LINES
) -> tuple[dict[str, Any], list[dict[str, Any]], Counter]:
    """The row, the variables of every prompt, and the counts, with one response to each line (or none)."""
    counts: Counter[str] = Counter()
    known = ["we have to go on with what follows from the first step of it, which is wrong"]
    wording = reword(row or area_row(), area_tree(), what, RewriteChecker(PAPER, known, layout), counts)
    asked = []
    try:
        variables = next(wording)
        while True:
            asked.append(variables)
            answer = next((text for start, text in said.items() if variables["line"].startswith(start)), "")
            variables = wording.send([answer])
    except StopIteration as end:
        return end.value, asked, counts


NEW_SET_UP = "With a length of l we have 2l + 8 = 20."
NEW_WRONG = r"It follows that l = 12, so the area must be 12 * 4 = \boxed{48}."
NEW_RIGHT = r"It follows that l = 6, so the area must be 6 * 4 = \boxed{24}."
NEW_BACK = "But wait, is this right? Hmm... I'm not sure. Let's go back to where we set up the equation for the length."
NEW_END = "But wait, is this right? Hmm... The solution seems to be correct."
SAID = {SET_UP: NEW_SET_UP, WRONG: NEW_WRONG, RIGHT: NEW_RIGHT}
MOVES = {"But wait, are we solving the problem correctly so far? Hmm... I": NEW_BACK, "But wait": NEW_END}


def test_each_piece_is_worded_given_the_text_so_far():
    row, asked, counts = worded(SAID | MOVES)
    text = "\n".join([NEW_SET_UP, NEW_WRONG, NEW_BACK, NEW_RIGHT, NEW_END])
    assert row["messages"][-1]["content"] == text
    assert [part["before"] for part in asked] == [
        "",
        NEW_SET_UP,
        f"{NEW_SET_UP}\n{NEW_WRONG}",
        f"{NEW_SET_UP}\n{NEW_WRONG}\n{NEW_BACK}",
        f"{NEW_SET_UP}\n{NEW_WRONG}\n{NEW_BACK}\n{NEW_RIGHT}",
    ]
    assert [part["kind"] for part in asked] == ["step", "step", "move", "step", "move"]
    assert asked[2]["target"] == NEW_SET_UP and NEW_SET_UP in asked[2]["line"]
    assert all(text[part["start"] : part["end"]] == part["text"] for part in row["segments"])
    assert [part["node"] for part in row["segments"] if part["kind"] == "step"] == [1, 2, 3]
    assert row["node_sequence"] == SEQUENCE
    assert counts == {"lines": 5, "lines_reworded": 5, "traces_reworded": 1}


@pytest.mark.parametrize(
    ("what", "asked"),
    [
        ("steps", ["step", "step", "step"]),
        ("moves", ["move", "move"]),
        ("both", ["step"] * 2 + ["move"] + ["step", "move"]),
    ],
)
def test_only_what_is_wanted_is_asked(what, asked):
    row, found, counts = worded(SAID | MOVES, what)
    assert [part["kind"] for part in found] == asked
    assert counts["lines_reworded"] == len(asked)
    text = row["messages"][-1]["content"]
    assert (NEW_SET_UP in text, NEW_BACK in text) == (what != "moves", what != "steps")
    if what == "steps":  # the template's words quote the step as it stands in the text now
        assert f'Let\'s go back to "{NEW_SET_UP}"' in text and SET_UP not in text
        assert [part["kind"] for part in row["segments"]] == [part["kind"] for part in area_row()["segments"]]
        assert all(text[part["start"] : part["end"]] == part["text"] for part in row["segments"])


@pytest.mark.parametrize("form", ["blank_line", "heading", "numbered"])
def test_steps_keep_their_form(form):
    """Numbers of steps and empty lines stay; a step on two lines is one step."""
    layout, tree = StepFormat(format=form), area_tree()
    segments = render(tree, SEQUENCE, TemplateRenderer(PAPER), 0, layout)
    row = trace_row(tree, SEQUENCE, segments, "paper", 7, trace_text(segments, layout))
    two_lines = "With a length of l we have\n2l + 8 = 20."
    row, _, counts = worded(SAID | MOVES | {SET_UP: two_lines}, row=row, layout=layout)
    text = row["messages"][-1]["content"]
    steps = [layout.write(step, number) for number, step in enumerate([two_lines, NEW_WRONG, NEW_RIGHT], start=1)]
    assert text == "\n\n".join([*steps[:2], NEW_BACK, steps[2], NEW_END])
    assert counts["traces_reworded"] == 1 and all(text[p["start"] : p["end"]] == p["text"] for p in row["segments"])
    _, _, counts = worded({SET_UP: two_lines.replace("\n", "\n\n")}, "steps", row=area_row(), layout=layout)
    assert counts["refused_several_lines"] == (form == "blank_line")


REFUSED = {
    "empty": "",
    "no_rewording": "I'm sorry, but I can't go on with this problem.",
    "too_long_or_unclean": f"{NEW_SET_UP}<|eot_id|>",
    "several_lines": "With a length of l we have\n2l + 8 = 20.",
    "other_language": "Die gesuchte Seite heisse nun einfach l, daher gilt jetzt 2l + 8 = 20.",
    "other_numbers": "With a length of l we have 2l + 8 = 20, so 12 is left.",
    "other_claims": "With a length of l we have 2l - 8 = 20.",
    "other_marker": "Let's go back to the length of l, so 2l + 8 = 20.",
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_step_that_says_something_else_is_refused_and_counted(reason):
    row, _, counts = worded({SET_UP: REFUSED[reason]}, "steps")
    assert row == area_row()
    assert counts[f"refused_{reason}"] == (3 if reason == "empty" else 1)


def test_a_rewording_that_is_another_step_of_the_tree_is_refused():
    other = area_tree().nodes[4].text
    tree = area_tree()
    tree.nodes[1].text = "The perimeter of 20 has two lengths and two widths."
    row = trace_row(tree, SEQUENCE, render(tree, SEQUENCE, TemplateRenderer(PAPER), 0), "paper", 7)
    counts: Counter[str] = Counter()
    wording = reword(row, tree, "steps", RewriteChecker(PAPER), counts)
    next(wording)
    wording.send([other])
    assert counts["refused_is_a_step"] == 1


BACK = "But wait, are we solving the problem correctly so far? Hmm... I"
REFUSED_MOVES = {
    "other_marker": "But wait, is this correct? I'm not sure, so we start from the first step.",
    "other_place": "I'm not sure about this. Let's go back to where the area must be wrong.",
    "other_numbers": "I'm not sure about this. Let's go back to step 9.",
}


@pytest.mark.parametrize("reason", REFUSED_MOVES)
def test_a_move_that_goes_elsewhere_is_refused_and_counted(reason):
    row, _, counts = worded(SAID | {BACK: REFUSED_MOVES[reason]})
    assert counts[f"refused_{reason}"] == 1
    assert f'Let\'s go back to "{NEW_SET_UP}"' in row["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("so 2l + 8 = 20.", {"2l+8=20": 1}),
        (r"Then $x = \frac{1}{2}$ and \(y=3\),", {r"x=\frac{1}{2": 1, "y=3": 1}),
        ("12 * 4 = 48 = 6 * 8", {"12*4=48=6*8": 1}),
        ("so x > 3 and not x < 3", {"x>3": 1, "x<3": 1}),
        (r"where $0 \leq t \le 2$ holds", {r"0\leqt\le2": 1}),
        ("we have 3 apples", {}),
        ("1" * 4000 + " and " + "(x + 1) " * 500, {}),
    ],
)
def test_claims_of_a_text(text, found):
    assert claims(text) == found


def test_content_of_boxes():
    assert boxed(r"so \boxed{\frac{1}{2}} or \boxed{ 3 }, \boxed{4") == [r"\frac{1}{2}", "3", ""]
