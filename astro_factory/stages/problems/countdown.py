"""Generated countdown puzzles: distinct, solvable, and split by number set.

Sizes alternate by weight, and a larger `count` only appends problems.
"""

from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Literal

from pydantic import Field, model_validator

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import write_table
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.problems.in_proportion import distinct, in_proportion
from astro_factory.verifiers.countdown import question_text
from astro_factory.verifiers.countdown_puzzles import Path, PuzzleRules, random_puzzle, weights_of
from astro_factory.verifiers.splits import Split, check_buckets

OUTPUT = ArtifactType.PROBLEMS
VERSION = 1
HEAVY = False

_PATIENCE = 200_000
"""After this many draws in a row without a new puzzle, (nearly) all puzzles have been found."""


class Config(StageConfig, PuzzleRules):
    kind: Literal["countdown"]
    count: int = Field(gt=0)
    """Number of problems; no two have the same numbers and target."""
    split: Split = "train"
    """Which number sets to use: a hash of the sorted numbers puts 8 of 10 in train, 1 in dev and 1 in test."""
    seed: int = 0
    """Source of randomness."""

    @model_validator(mode="after")
    def _buckets_are_of_the_split(self) -> "Config":
        check_buckets(self.split, self.buckets)
        return self


def estimate(config: Config, rows: Rows) -> Workload:
    return Workload("problems", config.count, rows=config.count)


def run(ctx: StageContext, config: Config) -> None:
    rows = (problem.as_row() for problem in make_problems(config))
    count = write_table(ctx.out / TABLE_FILES[OUTPUT], rows, problem_schema())
    ctx.events.progress(count, config.count, "problems")


def make_problems(config: Config) -> Iterator[Problem]:
    """The configured problems, one at a time.

    Raises:
        UserError: E411 if there are fewer distinct problems than `count`.
    """
    weights = weights_of(config.numbers)
    sources = {size: _distinct_puzzles(config, size) for size in weights}
    for path in in_proportion(weights, sources, config.count, partial(_exhausted, config)):
        yield _problem(config, path)


def _exhausted(config: Config, size: int, made: int) -> UserError:
    return UserError.of(
        "E411",
        f"the {config.split} split has only {made} distinct countdown problems of {size} numbers "
        f"from {config.number_range[0]} to {config.number_range[1]}, and {config.count} problems "
        f"with these weights need more",
        "lower 'count', widen 'number_range' or 'target_range', or use more numbers",
    )


def _distinct_puzzles(config: Config, size: int) -> Iterator[Path]:
    """Puzzles with new numbers or a new target, until none can be found."""
    random = Random(seed_for(config.seed, "countdown", config.split, size))
    return distinct(
        lambda: random_puzzle(random, config, size, config.split),
        lambda path: (tuple(sorted(path.numbers)), path.end),
        _PATIENCE,
    )


def _problem(config: Config, path: Path) -> Problem:
    return Problem(
        id=f"countdown-{'-'.join(map(str, sorted(path.numbers)))}-t{path.end}",
        question=question_text(path.numbers, path.end),
        answer=path.expression,
        verifier="countdown",
        info={"numbers": list(path.numbers), "target": path.end, "max_value": config.max_value},
        level=f"{len(path.numbers)} numbers",
    )
