"""Practice documents for word problems: one small function a skill, each drawing one (user, assistant) pair of texts.

They teach a base model the parts of a search and never search themselves: nothing is tried again after a wrong end.
A skill returns None where its draw breaks a rule; draw again.
"""

from collections.abc import Callable, Sequence
from random import Random

from astro_factory.stages.word_problems.families import FAMILIES, INVERSE
from astro_factory.stages.word_problems.rules import Family
from astro_factory.stages.word_problems.story import (
    DELIMITER,
    LARGEST,
    Calculation,
    WordProblem,
    check_line,
    results,
    steps,
)
from astro_factory.verifiers.countdown import calculate
from astro_factory.verifiers.splits import split_of

Document = tuple[str, str]
Weights = dict[Family, float]
"""Weight of each family."""
Skill = Callable[[Random, Weights], Document | None]

_RIGHT_SHARE = 0.3
"""Share of attempts that are right on purpose."""


def draw(random: Random, families: Weights, split: str = "train") -> WordProblem | None:
    """A problem of this split, or None where the draw breaks a rule."""
    family = random.choices(list(families), list(families.values()))[0]
    problem = FAMILIES[family](random)
    return problem if problem and split_of(problem.structure) == split else None


def solve(random: Random, families: Weights) -> Document | None:
    """A problem as its source words it, and a right direct solution."""
    problem = draw(random, families)
    lines = problem and steps(problem, problem.answer)
    return (problem.question, DELIMITER.join(lines)) if problem and lines else None


def attempt(random: Random, families: Weights) -> Document | None:
    """One honest attempt, mostly wrong, and the check of its answer."""
    problem = draw(random, families)
    lines = problem and attempt_lines(random, problem)
    return (f"Try once and check. {problem.question}", DELIMITER.join(lines)) if problem and lines else None


def series(random: Random, families: Weights) -> Document | None:
    """Two or three problems, one attempt each: the question stands far above its attempt."""
    problems = [draw(random, families) for _ in range(random.randint(2, 3))]
    attempts = [problem and attempt_lines(random, problem) for problem in problems]
    if not all(attempts):
        return None
    numbered = list(enumerate(zip(problems, attempts, strict=True), start=1))
    questions = [f"{number}. {problem.question}" for number, (problem, _) in numbered if problem]
    answers = [DELIMITER.join([f"{number}.", *(lines or [])]) for number, (_, lines) in numbered]
    return "Try each once and check.\n" + "\n".join(questions), DELIMITER.join(answers)


def judge(random: Random, families: Weights) -> Document | None:
    """Whether a given answer is right, by calculating what the question states about it."""
    problem = draw(random, families)
    lines = problem and attempt_lines(random, problem)
    if not problem or not lines:
        return None
    answer = int(lines[-2].rpartition("{")[2].partition("}")[0])
    shown = [f"{a} {c.operator} {b} = {r}" for (a, b, r), c in _tried(problem, answer)] if problem.guesses else []
    check = lines[-1] if not shown else lines[-1].replace("Check: ", f"Check: {', '.join(shown)}, ")
    return f"Is {answer} right? {problem.question}", check


def compare(random: Random, families: Weights) -> Document:
    """Two numbers compared by subtraction."""
    first = random.randint(0, LARGEST)
    second = first if random.random() < _RIGHT_SHARE else random.randint(0, LARGEST)
    high, low = max(first, second), min(first, second)
    return f"Compare {first} and {second}.", f"{high} - {low} = {high - low}. {'No' if high > low else 'Yes'}."


def arithmetic(random: Random, families: Weights) -> Document | None:
    """One calculation."""
    operator = random.choice("+-*/")
    left, right = random.randint(0, LARGEST), random.randint(0, LARGEST if operator in "+-" else 12)
    if operator == "*":
        left = random.randint(0, LARGEST // max(right, 1))
    result = calculate(left, operator, right, LARGEST)
    if result is None:
        return None
    return f"Compute {left} {operator} {right}.", f"{left} {operator} {right} = {result}"


SKILLS: dict[str, Skill] = {
    "solve": solve,
    "attempt": attempt,
    "series": series,
    "judge": judge,
    "compare": compare,
    "arithmetic": arithmetic,
}


def attempt_lines(random: Random, problem: WordProblem) -> list[str] | None:
    """The steps of an attempt, then the line that checks it."""
    right = random.random() < _RIGHT_SHARE
    if problem.guesses:
        plan, tried = problem.plan, problem.answer if right else random.choice(problem.guesses)
    else:
        plan, tried = problem.plan if right else wrong_plan(random, problem.plan), 0
    lines = steps(problem, tried, plan)
    if not lines:
        return None
    found = results(plan, tried)
    claimed = found[-1][2] if found else tried
    return [*lines, check_line(problem, tried if problem.guesses else claimed, claimed)]


def wrong_plan(random: Random, plan: Sequence[Calculation]) -> tuple[Calculation, ...]:
    """A chain of calculations that leaves a number out, goes the wrong way once, or has the wrong order."""
    start, chain = plan[0].left, list(plan)
    fault, place = random.choice(("omit", "invert", "order")), random.randrange(len(chain))
    if fault == "omit":
        del chain[place]
    elif fault == "invert":
        chain[place] = chain[place]._replace(operator=INVERSE[chain[place].operator])
    else:
        chain.reverse()
    lefts = [start, *(f"#{index}" for index in range(len(chain) - 1))]
    return tuple(calculation._replace(left=left) for calculation, left in zip(chain, lefts, strict=True))


def _tried(problem: WordProblem, answer: int) -> list[tuple[tuple[int, int, int], Calculation]]:
    return list(zip(results(problem.plan, answer) or (), problem.plan, strict=True))
