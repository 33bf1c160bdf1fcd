from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.evaluation.estimators import majority_at_k, pass_at_k


@pytest.mark.parametrize(
    ("correct", "samples", "k", "value"),
    [(0, 8, 1, 0.0), (8, 8, 8, 1.0), (2, 8, 1, 0.25), (1, 2, 2, 1.0), (1, 4, 2, 0.5), (2, 5, 2, 0.7), (3, 4, 2, 1.0)],
)
def test_pass_at_k_in_closed_form(correct, samples, k, value):
    assert pass_at_k(correct, samples, k) == pytest.approx(value)


def over_all_subsets(samples, k, score):
    subsets = list(combinations(samples, k))
    return sum(map(score, subsets)) / len(subsets)


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_pass_at_k_is_the_mean_over_all_subsets(verdicts, data):
    k = data.draw(st.integers(1, len(verdicts)))
    assert pass_at_k(sum(verdicts), len(verdicts), k) == pytest.approx(over_all_subsets(verdicts, k, any))


@given(st.lists(st.sampled_from(["", "a", "b", "c", "d"]), min_size=1, max_size=8), st.data())
def test_majority_is_the_mean_over_all_subsets(answers, data):
    """Against a vote that is counted out, with "a" the right answer."""
    k = data.draw(st.integers(1, len(answers)))

    def vote(subset):
        votes = Counter(answer for answer in subset if answer)
        winners = [answer for answer in votes if votes[answer] == max(votes.values())]
        return winners.count("a") / len(winners) if winners else 0.0

    found = majority_at_k(answers, [answer == "a" for answer in answers], k)
    assert found == pytest.approx(over_all_subsets(answers, k, vote))


@pytest.mark.parametrize(
    ("answers", "k", "value"),
    [
        ("aab", 3, 1.0),
        ("ab", 2, 0.5),
        ("abb", 3, 0.0),
        ("a", 1, 1.0),
        (["", "", "a"], 3, 1.0),
        (["", ""], 2, 0.0),
        ("abcd", 1, 0.25),
    ],
)
def test_majority_by_hand(answers, k, value):
    assert majority_at_k(list(answers), [answer == "a" for answer in answers], k) == pytest.approx(value)


def test_one_answer_with_two_verdicts_counts_as_its_share():
    assert majority_at_k(["a", "a", "b"], [True, False, False], 3) == pytest.approx(0.5)


@given(st.permutations(["a", "a", "b", "b", "c", ""]), st.integers(1, 6))
def test_order_does_not_matter(answers, k):
    first = majority_at_k(["a", "a", "b", "b", "c", ""], [True, True, False, False, False, False], k)
    assert majority_at_k(answers, [answer == "a" for answer in answers], k) == first


def test_many_samples_take_no_time():
    answers = ["a"] * 10 + [str(n // 2) for n in range(54)]
    assert 0.9 < majority_at_k(answers, [answer == "a" for answer in answers], 32) <= 1


@pytest.mark.parametrize("k", [0, 4])
def test_k_lies_within_the_samples(k):
    with pytest.raises(ValueError, match=f"k is {k}, but there are 3 samples"):
        pass_at_k(1, 3, k)
    with pytest.raises(ValueError, match=f"k is {k}, but there are 3 samples"):
        majority_at_k(["a", "b", "c"], [True, False, False], k)
