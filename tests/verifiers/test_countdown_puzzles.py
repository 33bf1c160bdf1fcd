import pytest
from pydantic import ValidationError

from astro_factory.verifiers.countdown_puzzles import PuzzleRules, split_of

# Fixed for ever: moving a number set to another split would leak held-out problems into old checkpoints.
SPLITS = [((1, 2, 3), "train"), ((4, 10, 3), "train")]


@pytest.mark.parametrize(("numbers", "split"), SPLITS)
def test_split_does_not_depend_on_the_order(numbers, split):
    assert split_of(numbers) == split_of(numbers[::-1]) == split


def test_one_set_in_ten_is_test_and_one_in_ten_is_dev():
    from itertools import combinations_with_replacement

    splits = [split_of(numbers) for numbers in combinations_with_replacement(range(1, 21), 4)]
    assert 0.09 < splits.count("test") / len(splits) < 0.11
    assert 0.09 < splits.count("dev") / len(splits) < 0.11


WRONG = [
    ({"numbers": []}, "needs counts of at least 2 numbers, with weights above 0"),
    ({"numbers": [1]}, "needs counts of at least 2 numbers, with weights above 0"),
    ({"numbers": {3: 0}}, "needs counts of at least 2 numbers, with weights above 0"),
    ({"number_range": (5, 1)}, "number_range needs two whole numbers from 0, the smaller one first"),
    ({"target_range": (-1, 5)}, "target_range needs two whole numbers from 0, the smaller one first"),
    ({"buckets": [1, 2]}, "the buckets of the training split are 2 to 9"),
    ({"target_range": (41, 50)}, "target_range begins above max_value, so no step can reach a target"),
]


@pytest.mark.parametrize(("fields", "text"), WRONG)
def test_wrong_rules_are_refused(fields, text):
    with pytest.raises(ValidationError, match=text):
        PuzzleRules(**fields)
