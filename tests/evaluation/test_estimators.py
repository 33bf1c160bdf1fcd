from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import comb
from scipy.stats import hypergeom

from astro_factory.evaluation.estimators import majority_at_k, pass_at_k


@pytest.mark.parametrize(
    ("correct", "samples", "k", "value"),
    [(0, 8, 1, 0.0), (8, 8, 8, 1.0), (2, 8, 1, 0.25), (1, 2, 2, 1.0), (1, 4, 2, 0.5), (2, 5, 2, 0.7), (3, 4, 2, 1.0)],
)
def test_pass_at_k_in_closed_form(correct, samples, k, value):
    assert pass_at_k(correct, samples, k) == pytest.approx(value)


@pytest.mark.parametrize("samples", [1, 2, 16, 64, 500])
def test_pass_at_k_against_scipy(samples):
    """1 - C(n - c, k) / C(n, k), and the chance that k draws without replacement hold a right one."""
    for correct in {0, 1, samples // 3, samples // 2, samples}:
        for k in {1, 2, samples // 4, samples} & set(range(1, samples + 1)):
            found = pass_at_k(correct, samples, k)
            exact = 1 - comb(samples - correct, k, exact=True) / comb(samples, k, exact=True)
            assert found == pytest.approx(exact, abs=1e-12)
            assert found == pytest.approx(hypergeom(samples, correct, k).sf(0), abs=1e-9)


def test_pass_at_k_does_not_depend_on_how_many_samples_there_are():
    """Its mean over many simulated sets of n samples is 1 - (1 - p)^k for every n."""
    random = np.random.default_rng(0)
    for samples in (8, 16, 64):
        found = np.mean([pass_at_k(int(correct), samples, 4) for correct in random.binomial(samples, 0.3, size=20_000)])
        assert found == pytest.approx(1 - 0.7**4, abs=0.006)


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
