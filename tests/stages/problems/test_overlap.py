import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.stages.problems.overlap import SHINGLE_WORDS, RunIndex, Twin, runs, twins, words_of

words = st.lists(st.sampled_from("abcd"), max_size=12).map(tuple)


def test_words_have_no_case_and_no_signs():
    assert words_of([r"Find $x^2 + \frac{1}{2}$, if X>0."]) == [("find", "x", "2", "frac", "1", "2", "if", "x", "0")]


@pytest.mark.parametrize(
    ("questions", "left"),
    [
        (["One. Put it in a box.", "Two! Put it in a box."], ["one", "two"]),
        (["What is 1? Answer", "Who is 1? Answer"], ["what", "who"]),
        (["same words", "same words"], ["same", "same"]),  # a question is never all instruction
        (["alone in here"], ["alone in here"]),
        (["", "x"], ["", "x"]),
    ],
)
def test_what_all_questions_end_with_is_left_out(questions, left):
    assert [" ".join(found) for found in words_of(questions)] == left


@given(st.lists(words, max_size=6), words, st.integers(1, 5))
def test_a_shared_run_is_found_if_there_is_one(questions, asked, length):
    found = RunIndex(questions, length, shared_by=99).find(asked)
    shared = [number for number, other in enumerate(questions) if set(runs(asked, length)) & set(runs(other, length))]
    assert (found is not None) == bool(shared)
    if found:
        number, text = found
        run = tuple(text.split())
        assert number in shared and len(run) >= length and run in set(runs(asked, len(run)))


def test_a_phrase_of_the_trade_is_no_overlap():
    """What three questions of a benchmark say, as `where m and n are relatively prime`, is nobody's own."""
    questions = words_of(["a b c d one", "a b c d two", "b c d e", "x y z"])
    assert RunIndex(questions, 3).find(("b", "c", "d")) is None
    assert RunIndex(questions, 3).find(("a", "b", "c")) == (0, "a b c")


def brute(questions, threshold):
    kept, found = [], []
    for index, own in enumerate(questions):
        ours = set(runs(own, SHINGLE_WORDS)) or {own}
        best = (0.0, 0)
        for other in kept:
            theirs = set(runs(questions[other], SHINGLE_WORDS)) or {questions[other]}
            best = max(best, (len(ours & theirs) / len(ours | theirs), -other))
        if best[0] >= threshold:
            found.append(Twin(index, -best[1], best[0]))
        else:
            kept.append(index)
    return found


@given(st.lists(words, max_size=8), st.sampled_from([0.2, 0.5, 0.8, 1.0]))
def test_twins_are_those_that_comparing_all_pairs_finds(questions, threshold):
    assert twins(questions, threshold) == brute(questions, threshold)
