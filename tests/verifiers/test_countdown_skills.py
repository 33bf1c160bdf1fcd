from random import Random

import pytest

from astro_factory.core.problems import Problem
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.countdown_puzzles import PuzzleRules, split_of
from astro_factory.verifiers.countdown_skills import SKILLS, compare_line, state_line

RULES = PuzzleRules(numbers={3: 0.5, 4: 0.5})
COUNTDOWN = get_verifier("countdown")


def documents(skill, count=300):
    random, made = Random(0), []
    while len(made) < count:
        if document := SKILLS[skill](random, RULES):
            made.append(document)
    return made


def read(question):
    words = question.split()
    numbers = list(map(int, words[words.index("numbers") + 1 : words.index("target")]))
    return Problem("p", question, "", "countdown", {"numbers": numbers, "target": int(words[-1])})


def walk(problem, lines):
    """The states of the leading step lines, each of which is checked, and the lines after them."""
    steps, states = [], [COUNTDOWN.facts(problem, [])["left"]]
    for line in lines:
        if " left " not in line:
            break
        assert COUNTDOWN.complete_step(problem, steps, line) == line
        steps.append(line)
        states.append(COUNTDOWN.facts(problem, steps)["left"])
    assert COUNTDOWN.is_terminal(problem, steps)
    return states, lines[len(steps) :]


def test_solve_is_a_right_direct_solution_of_a_training_problem():
    for question, response in documents("solve"):
        problem = read(question)
        assert question.startswith("numbers ")
        assert split_of(problem.info["numbers"]) == "train"
        states, rest = walk(problem, response.split("\n"))
        assert rest == [f"answer {COUNTDOWN.verify(problem, response).detail}"]
        assert states[-1] == str(problem.info["target"])


def test_attempt_is_honest_and_ends_in_a_check_or_in_exact_copies():
    checks = copies = right = 0
    for question, response in documents("attempt"):
        problem = read(question)
        states, rest = walk(problem, response.split("\n"))
        hit = states[-1] == str(problem.info["target"])
        if rest[0].startswith("had"):
            assert not hit
        else:
            assert rest.pop(0) == compare_line(int(states[-1]), problem.info["target"])
            checks += 1
        right += hit
        copies += bool(rest)
        assert not (hit and rest)
        assert all(line.removeprefix("had ") in states[:-1] for line in rest)
    assert checks > 150 and copies > 100 and 60 < right < 140


def test_an_unchecked_attempt_ends_honestly_and_never_compares():
    right = 0
    for question, response in documents("unchecked_attempt"):
        problem = read(question)
        states, rest = walk(problem, response.split("\n"))
        assert all(line.removeprefix("had ") in states[:-1] for line in rest)
        right += states[-1] == str(problem.info["target"])
    assert 60 < right < 140


@pytest.mark.parametrize("skill", ["series", "unchecked_series"])
def test_series_joins_unrelated_attempts(skill):
    compared = False
    for question, response in documents(skill, 100):
        compared = compared or " No ." in response or " Yes ." in response
        lines = [question.removeprefix("series "), *response.split("\n")]
        starts = [i for i, line in enumerate(lines) if line.startswith("try ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            walk(read(lines[start]), lines[start + 1 : end])
    assert compared == (skill == "series")


@pytest.mark.parametrize("skill", ["solve", "attempt", "series", "unchecked_attempt", "unchecked_series"])
def test_no_document_passes_through_held_out_numbers(skill):
    for question, response in documents(skill):
        for line in [question, *response.split("\n")]:
            if "left" in line or "numbers" in line:
                state = line.replace("numbers", "left").partition("left ")[2].partition(" target")[0]
                numbers = list(map(int, state.split()))
                if len(numbers) in (3, 4) and min(numbers) >= 1 and max(numbers) <= 10:
                    assert split_of(numbers) == "train"


def test_check_has_equal_pairs_and_both_orders():
    pairs = [tuple(map(int, question.split()[1:])) for question, _ in documents("check")]
    assert 60 < sum(a == b for a, b in pairs) < 130
    assert any(a < b for a, b in pairs) and any(a > b for a, b in pairs)
    assert SKILLS["check"](Random(1), RULES)[1].endswith((" No .", " Yes ."))


def test_lines():
    assert compare_line(17, 26) == compare_line(26, 17) == "26 - 17 = 9 No ."
    assert compare_line(17, 17) == "17 - 17 = 0 Yes ."
    assert state_line((4, 10, 3)) == "had 4 10 3"


def test_arithmetic_is_right():
    for question, response in documents("arithmetic"):
        _, left, operator, right = question.split()
        assert response == f"{left} {operator} {right} = {response.split()[-1]}"
        step = COUNTDOWN.complete_step(
            Problem("p", "", "", "countdown", {"numbers": [int(left), int(right)]}), [], response
        )
        assert step == f"{response} left {response.split()[-1]}"
