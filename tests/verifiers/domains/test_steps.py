"""The steps of each domain, and problems that a domain refuses."""

import pytest

from astro_factory.core.problems import Problem
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.domains.kinship import Link, relation
from astro_factory.verifiers.domains.mastermind import clue
from tests.verifiers.domains.attacks import CODE, GUESS, IN_TURN, KIN, SORT
from tests.verifiers.domains.test_domains import GYM

TESTED = (
    "try blue yellow green : red absent blue elsewhere green placed 1 1 , blue placed white absent black absent 1 0 , "
    "white absent green elsewhere red absent 0 1"
)
STEPS = [
    (GUESS, [], "try 8", "try 8 : 24 29 1 , 32 33 6"),
    (GUESS, [], "8", "try 8 : 24 29 1 , 32 33 6"),
    (GUESS, [], "try 8 : 99 99 9", "try 8 : 24 29 1 , 32 33 6"),
    (GUESS, [], "try 0", None),
    (GUESS, [], "try 13", None),
    (GUESS, [], "try 8 or 9", None),
    (GUESS, [], "", None),
    (GUESS, ["try 3 : 9 14 0 , 12 13 4"], "try 8", None),
    (IN_TURN, [], "try 8", "try 8 : 24 29 1 want 1 , 32 33 6 want 6"),
    (IN_TURN, [], "try 3 : 9 14 1 want 1 , 12 13 4", "try 3 : 9 14 0 want 1"),
    (IN_TURN, [], "1 : 3 8 1", "try 1 : 3 8 1 want 1 , 4 5 5 want 6"),
    (IN_TURN, [], "try 13", None),
    (CODE, [], "try blue yellow green", TESTED),
    (CODE, [], "blue yellow green : 3 0", TESTED),
    (CODE, [], "try blue blue green", None),
    (CODE, [], "try blue yellow", None),
    (CODE, [], "try blue yellow pink", None),
    (CODE, [], "", None),
    (SORT, [], "take 7", "take 7 left 41 23"),
    (SORT, [], "41", "take 41 left 7 23"),
    (SORT, [], "take 7 left 1 2 3", "take 7 left 41 23"),
    (SORT, ["take 7 left 41 23", "take 41 left 23"], "take 23", "take 23 left"),
    (SORT, ["take 7 left 41 23"], "take 7", None),
    (SORT, [], "take 8", None),
    (SORT, [], "", None),
    (KIN, [], "Jayden is a parent of Edward .", "Jayden is a parent of Edward"),
    (KIN, [], "Jayden is married to Ava", "Jayden is married to Ava"),
    (KIN, [], "Jayden is a parent of Lily", None),  # not stated
    (KIN, [], "Edward is a parent of Lily", None),  # not from here
    (KIN, ["Jayden is a parent of Edward"], "Edward is a child of Jayden", None),  # visited
    (KIN, [], "", None),
]


@pytest.mark.parametrize(("problem", "steps", "text", "completed"), STEPS)
def test_complete_step(problem, steps, text, completed):
    assert get_verifier(problem.verifier).complete_step(problem, steps, text) == completed


@pytest.mark.parametrize(
    ("guess", "code", "counts"),
    [
        ("red blue green", "red blue green", "3 0"),
        ("red blue green", "green red blue", "0 3"),
        ("red blue green", "red green white", "1 1"),
        ("red blue green", "white black yellow", "0 0"),
    ],
)
def test_feedback(guess, code, counts):
    assert clue(tuple(guess.split()), tuple(code.split())).counts == counts


@GYM
@pytest.mark.parametrize(
    ("links", "word"),
    [
        ([("Ava", "spouse", "Jayden")], "wife"),
        ([("Ava", "parent", "Edward"), ("Edward", "parent", "Lily")], "grandmother"),
        ([("Ava", "spouse", "Jayden"), ("Jayden", "parent", "Edward"), ("Edward", "parent", "Lily")], "grandmother"),
        ([("Noah", "child", "Sarah"), ("Sarah", "parent", "Lily")], "brother"),
        ([("Noah", "child", "Sarah"), ("Sarah", "spouse", "Edward")], "son"),
        ([("Edward", "parent", "Lily"), ("Lily", "child", "Sarah")], "husband"),
        ([("Sarah", "spouse", "Edward"), ("Edward", "child", "Ava")], "relative"),
    ],
)
def test_relations_are_composed(links, word):
    assert relation([Link(*link) for link in links]) == word


def changed(problem: Problem, answer: str | None = None, **info) -> Problem:
    answer = problem.answer if answer is None else answer
    return Problem("p", problem.question, answer, problem.verifier, problem.info | info)


REFUSED = [
    (changed(GUESS, "3"), "the answer '3' is wrong: x = 3 does not meet 3 x + 5 mod 7 = 1"),
    (changed(GUESS, "eight"), "the answer 'eight' is wrong: not a whole number"),
    (changed(GUESS, largest="12"), "info needs 'largest', a whole number from 1 to 999"),
    (changed(GUESS, largest=1000), "info needs 'largest', a whole number from 1 to 999"),
    (changed(GUESS, "", largest=7), "no number from 1 to 7 meets the conditions"),
    (
        changed(GUESS, conditions=[[3, 5, 0, 1]]),
        "info needs 'conditions', each four whole numbers: factor, term, modulus above 0, remainder",
    ),
    (
        changed(CODE, "red white blue"),
        "the answer 'red white blue' is wrong: does not agree with blue white black 1 0",
    ),
    (changed(CODE, pegs=7), "info needs 'pegs', a whole number from 1 to 6"),
    (
        changed(CODE, clues=[[["red", "red", "blue"], 0, 1]]),
        "info needs 'clues', each a guess of 3 different colours and two counts",
    ),
    (changed(CODE, clues=[]), "info needs 'clues', each a guess of 3 different colours and two counts"),
    (changed(CODE, "", clues=[[["red", "blue", "green"], 2, 1]]), "no code agrees with the clues"),
    (changed(SORT, "41 23 7"), "the answer '41 23 7' is not the numbers in ascending order"),
    (changed(SORT, numbers=[3, 3]), "no two numbers may be equal"),
    (changed(SORT, numbers=[]), "info needs 'numbers', a list of whole numbers"),
    pytest.param(changed(KIN, "aunt", metadata={"person1": "Jayden"}), None, marks=GYM),
]


@pytest.mark.parametrize(("problem", "reason"), REFUSED)
def test_problems_that_cannot_be_used(problem, reason):
    found = get_verifier(problem.verifier).check_problem(problem)
    assert found == (reason or "the metadata needs 'person1' and 'person2'")


@pytest.mark.parametrize("problem", [GUESS, CODE, SORT, pytest.param(KIN, marks=GYM)])
def test_problems_of_the_attacks_can_be_used(problem):
    assert get_verifier(problem.verifier).check_problem(problem) is None


@pytest.mark.parametrize("problem", [GUESS, CODE, KIN])
def test_a_step_that_was_never_completed_is_a_defect(problem):
    with pytest.raises(ValueError, match=r"not a step of this problem: '\?'"):
        get_verifier(problem.verifier).closing(problem, ["?"])
