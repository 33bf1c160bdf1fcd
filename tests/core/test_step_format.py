r"""Step formats: what stays whole, what begins a step, and that splitting inverts joining."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from astro_factory.core.step_format import Delimiter, StepFormat, written

FORMATS = {
    "line": StepFormat(format="line"),
    "blank_line": StepFormat(format="blank_line"),
    "heading": StepFormat(format="heading"),
    "numbered": StepFormat(format="numbered"),
    "german": StepFormat(format="heading", pattern="### Schritt {n}:"),
    "bracket": StepFormat(format="numbered", pattern="({n})"),
}
DISPLAY = "\\[\nx^2 = 4\n\n\\]"
ALIGN = "\\begin{align*}\nx &= 1 \\\\\ny &= 2\n\\end{align*}"
CODE = "```python\na = 1\n\nb = 2\n```"
TABLE = "| n | 2n |\n|---|---|\n| 1 | 2 |"

CASES = [
    ("line", "a\n\n b \nc", ["a", "b", "c"]),
    ("line", f"First:\n{ALIGN}\nso $x$.", [f"First:\n{ALIGN}", "so $x$."]),
    ("line", f"a\n{TABLE}\nb", ["a", TABLE, "b"]),
    ("line", f"a\n{CODE}\nb", ["a", CODE, "b"]),
    ("line", "a \\[ never closed\nb", ["a \\[ never closed", "b"]),
    ("line", "a $$x\n\ny\nb$$ c", ["a $$x", "y", "b$$ c"]),
    ("line", "\\[ lost\nb \\[\nx\n\\]", ["\\[ lost", "b \\[\nx\n\\]"]),
    ("blank_line", "a\nb\n\n\nc", ["a\nb", "c"]),
    ("blank_line", f"We get\n\n{DISPLAY}\n\nSo.", ["We get", DISPLAY, "So."]),
    ("blank_line", f"We get:\n\n{DISPLAY}\n\nSo.", [f"We get:\n\n{DISPLAY}", "So."]),
    ("blank_line", f"{CODE}\n\n{TABLE}", [CODE, TABLE]),
    (
        "blank_line",
        "**Solution**\n\nLet $x = 1$.\n\n## Check\n\nYes.",
        ["**Solution**\n\nLet $x = 1$.", "## Check\n\nYes."],
    ),
    ("blank_line", "[asy]\na;\n\nb;\n[/asy]\n\nc", ["[asy]\na;\n\nb;\n[/asy]", "c"]),
    ("heading", "## Step 1: Set up\nLet $x$.\n\n## Step 2: Solve\n$x = 1$", ["Set up\nLet $x$.", "Solve\n$x = 1$"]),
    ("heading", "To solve it:\n\n### Step 1\na\n\nb\n\n**Step 2: Solve** c", ["To solve it:", "a\n\nb", "Solve c"]),
    ("heading", "Step 1. a\nStep 2. b\n\nThe answer is $\\boxed{3}$.", ["a", "b\n\nThe answer is $\\boxed{3}$."]),
    ("heading", "Step 1: a\nSee Step 2: not one", ["a\nSee Step 2: not one"]),
    ("numbered", "1. a\n2. b\n   1. c\n3. d", ["a", "b\n   1. c", "d"]),
    ("numbered", "1. The cases:\n1. x\n2. y", ["The cases:\n1. x", "y"]),
    ("numbered", "3. a\n4. b\n9. c", ["a", "b\n9. c"]),
    ("numbered", "1. a\n2. b\n\nNo. Once more.\n\n2. c", ["a", "b\n\nNo. Once more.", "c"]),
    ("german", "### Schritt 1: a\n### Schritt 2: b\n## Step 3: c", ["a", "b\n## Step 3: c"]),
    ("bracket", "(1) a\n(2) b (3)", ["a", "b (3)"]),
    ("line", "", []),
    ("heading", "", []),
]


@pytest.mark.parametrize(("name", "text", "steps"), CASES)
def test_a_text_is_split_into_steps(name, text, steps):
    found = FORMATS[name].split(text)
    assert [piece.text for piece in found] == steps
    assert all(text[piece.start : piece.end].strip() == text[piece.start : piece.end] for piece in found)


def test_the_number_of_a_marker_is_read():
    assert [piece.number for piece in FORMATS["heading"].split("Well.\n\n## Step 4: a\n\n## Step 5: b")] == [None, 4, 5]


BLOCKS = st.sampled_from(
    ["Let $x = 2$.", "Then\nmore", DISPLAY, ALIGN, CODE, TABLE, "$$\na\n$$", "We have:", "1. a\n2. b", "b - c",
     "# T", "**B**", "| no table", "Step 9: x", "(2) c", "\\[ open", "\\boxed{4}", "ü", "x,"]
)  # fmt: skip
STEPS = st.lists(BLOCKS, min_size=1, max_size=3).flatmap(
    lambda blocks: st.sampled_from([" ", "\n", "\n\n"]).map(lambda gap: gap.join(blocks))
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.lists(STEPS, min_size=1, max_size=6))
def test_splitting_inverts_joining(name, texts):
    """For steps that are each one step of this format, and that do not ask for the next one to continue them."""
    steps = FORMATS[name]
    whole = [text for text in texts if is_whole(steps, text)]
    assume(whole)
    joined = steps.join(whole)
    assert [piece.text for piece in steps.split(joined)] == whole
    if steps.has_markers:
        assert [piece.number for piece in steps.split(joined)] == list(range(1, len(whole) + 1))


def has_list(steps: StepFormat, text: str) -> bool:
    """Whether a step has a numbered list in it, which may count on from the step's own number."""
    return steps.format == "numbered" and re.search(r"^(\d+\.|\(\d+\))", text, re.MULTILINE) is not None


def is_whole(steps: StepFormat, text: str) -> bool:
    """Whether a text is one step, before and after any other: a fence that it leaves open ends at the next one."""
    if has_list(steps, text):
        return False
    if steps.format == "line" and text.startswith("|"):
        return False  # the next row of a table before it
    closed = not steps.is_open(text) and not FORMATS["blank_line"].is_open(text)
    around = [["a.", text, "b."], ["a.", text, CODE]]
    return closed and all([piece.text for piece in steps.split(steps.join(texts))] == texts for texts in around)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.lists(STEPS, max_size=6), st.sampled_from(["\n", "\n\n", " "]))
def test_steps_found_in_any_text_are_found_again(name, texts, gap):
    steps = FORMATS[name]
    found = [piece.text for piece in steps.split(gap.join(texts)) if piece.text]
    rows = [(a.rpartition("\n")[2], b) for a, b in pairwise(found) if name == "line"]
    assume(not any(a.startswith("|") and b.startswith("|") for a, b in rows))  # two tables become one
    assume(not any(has_list(steps, text) for text in found))
    again = [piece.text for piece in steps.split(steps.join(found))]
    if not steps.has_markers:
        assert again == found
    assert "".join("".join(again).split()) == "".join("".join(found).split())


@pytest.mark.parametrize("name", [name for name in FORMATS if not FORMATS[name].has_markers])
def test_a_sample_that_stops_inside_a_step_is_open(name):
    steps = FORMATS[name]
    for text in ("We have:", "Let $x$,", "\\[\nx", "$$", "```python\na = 1", "## Title", "a \\begin{align}\nx"):
        assert steps.is_open(text)
    for text in ("So $x = 1$.", "\\[ x \\]", CODE, ALIGN, ""):
        assert not steps.is_open(text)


def test_stop_strings_end_a_step():
    assert FORMATS["blank_line"].stops(3)[0] == ".\n\n" and ":\n\n" not in FORMATS["blank_line"].stops(3)
    assert ".\n" in FORMATS["line"].stops(3)
    assert "\n## Step 3" in FORMATS["heading"].stops(3)
    assert FORMATS["german"].stops(3) == ("\n### Schritt 3:",)
    assert "\n3." in FORMATS["numbered"].stops(3)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"format": "line", "pattern": "{n}."}, "no 'pattern'"),
        ({"format": "heading", "pattern": "Step"}, "{n}"),
        ({"format": "heading", "pattern": "{n} {n}"}, "{n}"),
        ({"format": "heading", "pattern": "a\n{n}"}, "{n}"),
        ({"format": "words"}, "format"),
    ],
)
def test_wrong_formats(fields, word):
    with pytest.raises(ValidationError, match=word):
        StepFormat.model_validate(fields)


def test_a_delimiter_stands_anywhere():
    assert [piece.text for piece in Delimiter(" ; ").split("a ; b\nc ; ")] == ["a", "b\nc", ""]
    assert written(Delimiter(" ; "), ["a", "b"], "answer c") == "a ; b ; answer c"


def test_splitting_takes_time_linear_in_the_text():
    start = time.process_time()
    for steps in FORMATS.values():
        steps.split("\\[ $$ \\begin{align} ```\n1. x\n\n" * 5_000)
        steps.is_open("a" * 100_000 + "\n" * 50_000 + "$$")
    assert time.process_time() - start < 10
