"""Practice documents for countdown: one small function a skill, each drawing one (user, assistant) pair of texts.

They teach a base model the parts of a search and never search themselves: nothing is tried again after a wrong end.
What matters for a later search to work is honest arithmetic also on paths that miss the target (a base that saw only
right solutions writes down the target whatever the step gives), a comparison done as a subtraction, and exact copies
of numbers that stand far back. A skill returns None where its draw breaks a rule; draw again.
"""

from collections.abc import Callable
from random import Random

from astro_factory.verifiers.countdown import calculate, question_text
from astro_factory.verifiers.countdown_puzzles import (
    Path,
    PuzzleRules,
    draw_numbers,
    may_draw,
    random_path,
    random_puzzle,
    weights_of,
)

Document = tuple[str, str]
Skill = Callable[[Random, PuzzleRules], Document | None]

_EQUAL_SHARE = 0.3


def solve(random: Random, rules: PuzzleRules) -> Document | None:
    """A problem, worded as the problem source words it, and a right direct solution."""
    path = random_puzzle(random, rules, _draw_count(random, rules), "train")
    if path is None or _touches_held_out(path, rules):
        return None
    return question_text(path.numbers, path.end), path.solution


def attempt(random: Random, rules: PuzzleRules, checked: bool = True) -> Document | None:
    """Random steps to a single number, honest and mostly wrong, then a check or copies of earlier states.

    try numbers 4 10 3 target 17
    10 - 4 = 6 left 3 6
    3 * 6 = 18 left 18
    18 - 17 = 1 No .
    """
    drawn = _draw_attempt(random, rules)
    if drawn is None:
        return None
    path, target = drawn
    return f"try {question_text(path.numbers, target)}", "\n".join(_attempt_lines(random, path, target, checked))


def series(random: Random, rules: PuzzleRules, checked: bool = True) -> Document | None:
    """Attempts at two to six unrelated puzzles: long range, and other states among those to copy from."""
    draws = [_draw_attempt(random, rules) for _ in range(random.randint(2, 6))]
    lines: list[str] = []
    for path, target in filter(None, draws):
        lines += [f"try {question_text(path.numbers, target)}", *_attempt_lines(random, path, target, checked)]
    return (f"series {lines[0]}", "\n".join(lines[1:])) if lines else None


def unchecked_attempt(random: Random, rules: PuzzleRules) -> Document | None:
    """As `attempt`, but no document compares its end with the target: it ends there, or copies earlier states."""
    return attempt(random, rules, checked=False)


def unchecked_series(random: Random, rules: PuzzleRules) -> Document | None:
    """As `series`, without the comparisons."""
    return series(random, rules, checked=False)


def check(random: Random, rules: PuzzleRules) -> Document:
    """Two numbers compared by subtraction: `compare 37 40` and `40 - 37 = 3 No .`."""
    highest = max(rules.max_value, rules.target_range[1])
    first = random.randint(0, highest)
    second = first if random.random() < _EQUAL_SHARE else random.randint(0, highest)
    return f"compare {first} {second}", compare_line(first, second)


def arithmetic(random: Random, rules: PuzzleRules) -> Document | None:
    """One allowed calculation: `compute 7 * 4` and `7 * 4 = 28`."""
    left, right = random.randint(0, rules.max_value), random.randint(0, rules.max_value)
    operator = random.choice("+-*/")
    result = calculate(left, operator, right, rules.max_value)
    return None if result is None else (f"compute {left} {operator} {right}", f"{left} {operator} {right} = {result}")


SKILLS: dict[str, Skill] = {
    "solve": solve,
    "attempt": attempt,
    "series": series,
    "check": check,
    "arithmetic": arithmetic,
    "unchecked_attempt": unchecked_attempt,
    "unchecked_series": unchecked_series,
}


def compare_line(first: int, second: int) -> str:
    """The larger number minus the smaller one, and whether they are the same."""
    high, low = max(first, second), min(first, second)
    return f"{high} - {low} = {high - low} {'No' if high > low else 'Yes'} ."


def state_line(state: tuple[int, ...]) -> str:
    """An earlier state, restated."""
    return f"had {' '.join(map(str, state))}"


def _draw_attempt(random: Random, rules: PuzzleRules) -> tuple[Path, int] | None:
    """A random path and a target, which is the path's end more often than chance would have it."""
    low, high = rules.target_range
    numbers = draw_numbers(random, rules, _draw_count(random, rules), "train")
    path = random_path(random, numbers, rules.max_value) if numbers else None
    if not path or _touches_held_out(path, rules):
        return None
    hit = random.random() < _EQUAL_SHARE and low <= path.end <= high
    target = path.end if hit else random.randint(low, high)
    return None if target in path.numbers else (path, target)


def _attempt_lines(random: Random, path: Path, target: int, checked: bool = True) -> list[str]:
    """The steps, and then the check, or one to three earlier states, or both."""
    lines = [step.text for step in path.steps]
    ending = random.random()
    if checked and (ending < 0.7 or path.end == target):
        lines.append(compare_line(path.end, target))
    if ending > 0.4 and path.end != target:
        earlier = path.states[:-1]
        lines += [state_line(random.choice(earlier)) for _ in range(random.randint(1, 3))]
    return lines


def _draw_count(random: Random, rules: PuzzleRules) -> int:
    weights = weights_of(rules.numbers)
    return random.choices(list(weights), list(weights.values()))[0]


def _touches_held_out(path: Path, rules: PuzzleRules) -> bool:
    """Whether the path passes through numbers that could be those of a problem of another split or bucket."""
    sizes, (low, high) = weights_of(rules.numbers), rules.number_range
    return any(
        len(state) in sizes and low <= min(state) and max(state) <= high and not may_draw(state, rules, "train")
        for state in path.states
    )
