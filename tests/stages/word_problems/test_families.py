import re
from fractions import Fraction
from random import Random

import pytest

from astro_factory.stages.word_problems.families import FAMILIES
from astro_factory.stages.word_problems.rules import ORDER
from astro_factory.stages.word_problems.story import LARGEST, check_line, results, steps


def problems(family, count=300, seed=0):
    random = Random(seed)
    found = []
    while len(found) < count:
        if problem := FAMILIES[family](random):
            found.append(problem)
    return found


def chain(start, operations):
    value = Fraction(start)
    for operator, number in operations:
        value = {"+": value + number, "-": value - number, "*": value * number, "/": value / number}[operator]
    return value


def by_algebra(problem):
    """The answer from the numbers of the question, without the problem's plan."""
    operations = [(word[0], int(word[1:])) for word in problem.structure.split()[1:] if word[0] in "+-*/"]
    given = [int(word) for word in problem.structure.split()[1:] if word.isdigit()]
    total = problem.wanted
    match problem.family:
        case "mix":
            n, a, b = given
            return Fraction(total - b * n, a - b)
        case "parts":
            k, d = given
            return Fraction(total - d, k + 2)
        case "transfer":
            p, q = given
            return Fraction(p - q - total, 2)
        case "ages":
            k, y = given
            return Fraction(total - 2 * y, k + 1)
        case "undo":
            inverse = {"+": "-", "-": "+", "*": "/", "/": "*"}
            return chain(total, [(inverse[operator], number) for operator, number in reversed(operations)])
        case "forward":
            return chain(total, operations)
        case "units":
            size, d, m, g = given
            return Fraction((total * size + d) * m - g)
    *days, asked = re.findall(r"\w+day", problem.question)
    return Fraction(dict(zip(days, re.findall(r"\d+", problem.question), strict=True))[asked])


@pytest.mark.parametrize("family", ORDER)
def test_the_answer_follows_from_the_question_by_algebra(family):
    for problem in problems(family):
        assert by_algebra(problem) == problem.answer, problem


@pytest.mark.parametrize("family", ORDER)
def test_the_question_states_every_number_it_needs(family):
    for problem in problems(family):
        stated = re.findall(r"\d+", problem.question)
        needed = re.findall(r"\d+", problem.structure)[family == "units" :]  # not the days of a week
        needed += [str(problem.wanted)]
        missing = [number for number in needed if number not in stated]
        assert not missing, problem
        assert "{" not in problem.question


@pytest.mark.parametrize("family", ORDER)
def test_a_right_solution_passes_its_check_and_a_wrong_one_does_not(family):
    for problem in problems(family, 100):
        lines = steps(problem, problem.answer)
        assert lines and lines[-1].endswith(f"so the answer is \\boxed{{{problem.answer}}}.")
        found = results(problem.plan, problem.answer) or []
        assert len(found) in ([0] if family == "read_off" else [2, 3, 4])
        assert all(0 <= number <= LARGEST for calculation in found for number in calculation)
        claimed = found[-1][2] if found else problem.answer
        assert check_line(problem, problem.answer, claimed).endswith(
            " - ".join(2 * [str(problem.wanted)]) + " = 0. Yes."
        )
        for guess in problem.guesses:
            other = results(problem.plan, guess)
            if guess != problem.answer and (other or not problem.plan):
                assert check_line(problem, guess, other[-1][2] if other else guess).endswith("No.")
        if problem.redo:
            assert check_line(problem, problem.answer + 1, claimed).endswith("No.")


@pytest.mark.parametrize("family", ORDER)
def test_only_guessing_families_try_values(family):
    for problem in problems(family, 50):
        first = steps(problem, problem.answer)[0]
        assert first.startswith("Try ") == (family in ("mix", "parts", "transfer", "ages"))


def test_wordings_are_many():
    texts = {re.sub(r"\d+", "N", problem.question) for family in ORDER for problem in problems(family, 500)}
    assert len(texts) > 2500
