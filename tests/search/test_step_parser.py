import pytest

from astro_factory.core.step_format import LINES, Delimiter, StepFormat
from astro_factory.search.step_parser import StepParser
from tests.search.toy import Letters, letters

# before, text, finish -> texts of the steps, verdict of the last one, score
CASES = [
    ("", "a\nb\nc", "eos", "abc", "correct", 1.0),
    ("", "a\nb\nd\nanswer abd", "eos", "abd", "incorrect", 0.0),
    ("", "A\n\n  B \nc\nmore", "eos", "abc", "correct", 1.0),
    ("a", "b", "stop", "b", None, 0.0),
    ("a", "b\nc", "stop", "bc", "correct", 1.0),
    ("", "a\nb\nc", "length", "ab", None, 0.0),
    ("", "a\nx\nc", "eos", "a", None, 0.0),
    ("", "x", "stop", "", None, 0.0),
    ("", "", "eos", "", None, 0.0),
    # the model stops where the domain expects more: a terminal without an answer
    ("", "a\nb", "eos", "ab", "no_answer", 0.0),
    ("", "a\nb\n", "eos", "ab", "no_answer", 0.0),
]


@pytest.mark.parametrize(("before", "text", "finish", "steps", "verdict", "score"), CASES)
def test_a_sample_is_parsed_up_to_its_terminal_or_first_invalid_step(before, text, finish, steps, verdict, score):
    parsed = StepParser(letters("abc"), Letters(), LINES).parse(list(before), text, finish, 50)
    assert "".join(step.text for step in parsed.steps) == steps
    last = parsed.steps[-1].verdict if parsed.steps else None
    assert (last and str(last.outcome)) == verdict
    assert parsed.score == score
    assert all(step.verdict is None for step in parsed.steps[:-1])


def test_lines_facts_closings_and_limit():
    parser = StepParser(letters("abc"), Letters(), LINES)
    parsed = parser.parse([], "a\n\nb\nc", "stop", 50)
    assert parsed.lines == [0, 2, 3]
    assert [step.facts for step in parsed.steps] == [{"path": "a"}, {"path": "ab"}, {"path": "abc"}]
    assert [step.closing for step in parsed.steps] == ["", "", "answer abc"]
    assert len(parser.parse([], "a\nb\nc", "stop", 2).steps) == 2
    assert len(parsed.first().steps) == 1


def test_another_delimiter():
    parsed = StepParser(letters("ab"), Letters(), Delimiter(" ; ")).parse([], "a ; b ; ", "stop", 50)
    assert [step.text for step in parsed.steps] == ["a", "b"]


PROSE = StepFormat(format="blank_line")
HEADINGS = StepFormat(format="heading")


@pytest.mark.parametrize(
    ("layout", "before", "text", "finish", "steps"),
    [
        (PROSE, "", "a\n\nb\n\nc", "eos", "abc"),
        (PROSE, "", "a\n\nb\n\nc", "length", "ab"),
        (PROSE, "a", "b\n\n", "stop", "b"),
        (HEADINGS, "", "Well.\n\n## Step 1: a\n\n## Step 2: b\n\n", "stop", "ab"),
        (HEADINGS, "a", "b", "eos", "b"),  # a step without its heading
        (HEADINGS, "", "a", "eos", ""),  # an answer without steps
    ],
)
def test_step_formats(layout, before, text, finish, steps):
    parsed = StepParser(letters("abc"), Letters(), layout).parse(list(before), text, finish, 50)
    assert "".join(step.text for step in parsed.steps) == steps


def test_a_stop_string_inside_a_step_leaves_no_step():
    parser = StepParser(letters("abc"), Letters(), PROSE)
    assert parser.parse([], "a:", "stop", 50).steps == []
    assert (parser.samples, parser.split_samples) == (1, 1)


def test_samples_that_are_not_split_are_counted():
    parser = StepParser(letters("abc"), Letters(), HEADINGS)
    for text in ("a\nb", "## Step 1: a", "", "c"):
        parser.parse([], text, "eos", 50)
    assert (parser.samples, parser.split_samples, parser.unsplit) == (3, 1, "a\nb")
