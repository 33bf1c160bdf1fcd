"""Random countdown puzzles and paths through them, for problem sources and practice documents.

Puzzles are solvable by construction: a target is where a random path of allowed steps ends. A hash of the sorted
numbers puts each number set into one of ten buckets: bucket 0 is `test`, bucket 1 is `dev` and the others are `train`.
So no two sources can disagree about what is held out.
"""

from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Annotated, NamedTuple

from pydantic import Field, field_validator, model_validator

from astro_factory.core.config import LATER, Config
from astro_factory.verifiers.countdown import DEFAULT_MAX_VALUE, Part, calculate, closing_text, join, step_text
from astro_factory.verifiers.splits import Split, TrainingBuckets, is_drawn
from astro_factory.verifiers.splits import bucket_of as bucket_of_text
from astro_factory.verifiers.splits import split_of as split_of_text


class PuzzleRules(Config):
    """Which puzzles there are."""

    numbers: dict[int, float] | list[int] = Field(default_factory=lambda: [3])
    """How many numbers a puzzle has: a list of counts, or a mapping of count to weight such as `{3: 0.4, 4: 0.6}`."""
    number_range: tuple[int, int] = (1, 10)
    """Smallest and largest given number; a number may be given twice."""
    max_value: int = DEFAULT_MAX_VALUE
    """No step of a solution may give more than this."""
    target_range: tuple[int, int] = (10, 40)
    """Smallest and largest target; a target is never one of the given numbers."""
    buckets: Annotated[TrainingBuckets, LATER] = Field(default_factory=list)
    """Which of the training split's buckets, 2 to 9, to draw number sets from; all of them if empty. Sources with
    different buckets share no number set, so that practice, search and RL can each have their own."""

    @field_validator("numbers")
    @classmethod
    def _counts(cls, numbers: dict[int, float] | list[int]) -> dict[int, float] | list[int]:
        weights = weights_of(numbers)
        if not weights or min(weights) < 2 or min(weights.values()) <= 0:
            raise ValueError("needs counts of at least 2 numbers, with weights above 0")
        return dict(sorted(numbers.items())) if isinstance(numbers, dict) else numbers

    @model_validator(mode="after")
    def _ranges(self) -> "PuzzleRules":
        for name, (low, high) in (("number_range", self.number_range), ("target_range", self.target_range)):
            if not 0 <= low <= high:
                raise ValueError(f"{name} needs two whole numbers from 0, the smaller one first")
        if self.target_range[0] > self.max_value:
            raise ValueError("target_range begins above max_value, so no step can reach a target")
        return self


class Step(NamedTuple):
    """One allowed step and the numbers that are left after it."""

    left: int
    operator: str
    right: int
    result: int
    remaining: tuple[int, ...]

    @property
    def text(self) -> str:
        return step_text(self.left, self.operator, self.right, self.result, self.remaining)


class Path(NamedTuple):
    """Allowed steps from the given numbers to a single one, and the expression they compose."""

    numbers: tuple[int, ...]
    steps: tuple[Step, ...]
    expression: str

    @property
    def end(self) -> int:
        return self.steps[-1].result

    @property
    def states(self) -> list[tuple[int, ...]]:
        """The numbers that are left, from the given ones to the last."""
        return [self.numbers, *(step.remaining for step in self.steps)]

    @property
    def solution(self) -> str:
        """The direct response: the steps and the answer line."""
        return "\n".join([*(step.text for step in self.steps), closing_text(self.expression)])


def weights_of(numbers: dict[int, float] | list[int]) -> dict[int, float]:
    """Counts with their weights; those of a list are equal."""
    return numbers if isinstance(numbers, dict) else dict.fromkeys(numbers, 1.0)


def split_of(numbers: Sequence[int]) -> Split:
    """The split of a number set, whatever the order and the target."""
    return split_of_text(_identity(tuple(sorted(numbers))))


def bucket_of(numbers: Sequence[int]) -> int:
    """The bucket, from 0 to 9, of a number set."""
    return bucket_of_text(_identity(tuple(sorted(numbers))))


def may_draw(numbers: Sequence[int], rules: PuzzleRules, split: Split) -> bool:
    """Whether these rules draw the number set in this split."""
    return is_drawn(_identity(tuple(sorted(numbers))), split, rules.buckets)


@lru_cache(maxsize=1 << 16)
def _identity(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))


def draw_numbers(random: Random, rules: PuzzleRules, count: int, split: Split) -> tuple[int, ...] | None:
    """`count` numbers in random order, or None where the draw is not of this split or these buckets."""
    low, high = rules.number_range
    numbers = tuple([random.randint(low, high) for _ in range(count)])
    return numbers if may_draw(numbers, rules, split) else None


def random_path(random: Random, numbers: tuple[int, ...], max_value: int, smallest: int = 0) -> Path | None:
    """Random steps with results from `smallest` to `max_value`, down to one number; None where no step was left."""
    parts = [Part(number, str(number)) for number in numbers]
    steps = []
    while len(parts) > 1:
        step = _random_step(random, [part.value for part in parts], max_value, smallest)
        joined = join(parts, *step, max_value) if step else None
        if not step or not joined:
            return None
        parts = joined
        steps.append(Step(*step, parts[-1].value, tuple([part.value for part in parts])))
    return Path(numbers, tuple(steps), parts[0].text.removeprefix("( ").removesuffix(" )"))


def _random_step(random: Random, values: list[int], max_value: int, smallest: int) -> tuple[int, str, int] | None:
    """Two of the values and an operator, uniform over the allowed choices by rejection."""
    count = len(values)
    for _ in range(100):
        first, second = int(random.random() * count), int(random.random() * count)
        if first == second:
            continue
        operator = "+-*/"[int(random.random() * 4)]
        result = calculate(values[first], operator, values[second], max_value)
        if result is not None and result >= smallest:
            return values[first], operator, values[second]
    return None


def random_puzzle(random: Random, rules: PuzzleRules, count: int, split: Split) -> Path | None:
    """A solved puzzle whose target is the path's end, or None where the draw breaks a rule: draw again.

    No step of it gives 0: such a step only throws numbers away.
    """
    numbers = draw_numbers(random, rules, count, split)
    path = random_path(random, numbers, rules.max_value, smallest=1) if numbers else None
    if not path or not numbers:
        return None
    low, high = rules.target_range
    return path if low <= path.end <= high and path.end not in numbers else None
