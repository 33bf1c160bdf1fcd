"""maj@k over answers that are equal, against a vote counted out with another notion of equality."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.core.problems import Problem
from astro_factory.evaluation.estimators import majority_at_k
from astro_factory.evaluation.votes import representatives
from astro_factory.verifiers import get_verifier

SPELLINGS = {"1/2": 0, "0.5": 0, "50%": 0, "2": 1, "4/2": 1, "x": 2, "": None}


def same(answers):
    return lambda first, second: SPELLINGS[answers[first]] == SPELLINGS[answers[second]]


@given(st.lists(st.sampled_from(sorted(SPELLINGS)), min_size=1, max_size=8), st.data())
def test_votes_are_counted_by_value(answers, data):
    k = data.draw(st.integers(1, len(answers)))
    values = [SPELLINGS[answer] for answer in answers]

    def vote(subset):
        votes = Counter(value for value in subset if value is not None)
        winners = [value for value in votes if votes[value] == max(votes.values())]
        return winners.count(0) / len(winners) if winners else 0.0

    subsets = list(combinations(values, k))
    found = majority_at_k(representatives(answers, same(answers)), [value == 0 for value in values], k)
    assert found == pytest.approx(sum(map(vote, subsets)) / len(subsets))


@given(st.lists(st.sampled_from(sorted(SPELLINGS)), max_size=12))
def test_each_answer_is_represented_by_the_first_equal_one(answers):
    found = representatives(answers, same(answers))
    for index, answer in enumerate(answers):
        assert found[index] == next(a for a in answers if SPELLINGS[a] == SPELLINGS[answer])


def test_two_spellings_are_compared_once():
    asked = []

    def differ(first, second):
        asked.append((first, second))
        return False

    representatives(["a", "b", "a", "b", "c", ""], differ)
    assert asked == [(0, 1), (0, 4), (1, 4)]


def test_wrong_formulas_of_one_value_vote_together():
    verifier, problem = get_verifier("math"), Problem("p", "?", "3", "math")
    texts = [r"\sqrt{8}", r"2\sqrt{2}", "x+1", "(x^2-1)/(x-1)", "7", r"(1,2)", r"(2,1)", r"\left(1, 2\right)"]
    verdicts = [verifier.verify(problem, rf"\boxed{{{text}}}") for text in texts]
    found = representatives(
        [verdict.answer for verdict in verdicts],
        lambda a, b: verifier.same(problem, verdicts[a].extracted, verdicts[b].extracted),
    )
    assert [found.index(answer) for answer in found] == [0, 0, 2, 2, 4, 5, 6, 5]
