import pytest

from astro_factory.search.states import Judge
from tests.search.toy import Letters, letters

# before, text, finish -> texts of the states, verdict of the last, score
READINGS = [
    ("", "a\nb\nc", "eos", "abc", "correct", 1.0),
    ("", "a\nb\nd\nanswer abd", "eos", "abd", "incorrect", 0.0),
    ("", "A\n\n  B \nc\nmore", "eos", "abc", "correct", 1.0),
    ("a", "b", "stop", "b", None, 0.0),
    ("a", "b\nc", "stop", "bc", "correct", 1.0),
    ("", "a\nb\nc", "length", "ab", None, 0.0),
    ("", "a\nx\nc", "eos", "a", None, 0.0),
    ("", "x", "stop", "", None, 0.0),
    ("", "", "eos", "", None, 0.0),
    # the model ends where the domain does not: an end without an answer
    ("", "a\nb", "eos", "ab", "no_answer", 0.0),
    ("", "a\nb\n", "eos", "ab", "no_answer", 0.0),
]


@pytest.mark.parametrize(("before", "text", "finish", "states", "verdict", "score"), READINGS)
def test_a_sample_is_read_up_to_its_end_or_first_fault(before, text, finish, states, verdict, score):
    reading = Judge(letters("abc"), Letters(), "\n").read(list(before), text, finish, 50)
    assert "".join(state.text for state in reading.states) == states
    last = reading.states[-1].verdict if reading.states else None
    assert (last and str(last.outcome)) == verdict
    assert reading.score == score
    assert all(state.verdict is None for state in reading.states[:-1])


def test_lines_facts_closings_and_limit():
    judge = Judge(letters("abc"), Letters(), "\n")
    reading = judge.read([], "a\n\nb\nc", "stop", 50)
    assert reading.lines == [0, 2, 3]
    assert [state.facts for state in reading.states] == [{"path": "a"}, {"path": "ab"}, {"path": "abc"}]
    assert [state.closing for state in reading.states] == ["", "", "answer abc"]
    assert len(judge.read([], "a\nb\nc", "stop", 2).states) == 2
    assert len(reading.first().states) == 1


def test_another_delimiter():
    reading = Judge(letters("ab"), Letters(), " ; ").read([], "a ; b ; ", "stop", 50)
    assert [state.text for state in reading.states] == ["a", "b"]
