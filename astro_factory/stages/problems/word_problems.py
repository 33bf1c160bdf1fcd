"""Generated word problems in many wordings: distinct, solvable, and split by structure.

Families alternate by weight, and a larger `count` only appends problems.
"""

from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import write_table
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.problems.in_proportion import distinct, in_proportion
from astro_factory.stages.word_problems.families import FAMILIES
from astro_factory.stages.word_problems.rules import Family, FamilyRules
from astro_factory.stages.word_problems.story import WordProblem
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.splits import Split, split_of

OUTPUT = ArtifactType.PROBLEMS
VERSION = 2
HEAVY = False

_VERIFIER = "math"
_PATIENCE = 50_000
"""After this many draws in a row without a new problem, (nearly) all of a family have been found."""
_LETTERS = str.maketrans({"+": "p", "-": "m", "*": "x", "/": "d", " ": "-"})
"""For ids: the operations of a structure."""


class Config(StageConfig, FamilyRules):
    kind: Literal["word_problems"]
    count: int = Field(gt=0)
    """Number of problems; no two have the same structure and answer."""
    split: Split = "train"
    """Which structures to use (the calculations with their numbers, whatever the wording): a hash puts 8 of 10 in
    train, 1 in dev and 1 in test."""
    seed: int = 0
    """Source of randomness."""


def estimate(config: Config, rows: Rows) -> Workload:
    return Workload("problems", config.count, rows=config.count)


def run(ctx: StageContext, config: Config) -> None:
    rows = (problem.as_row() for problem in make_problems(config))
    # a changed verifier must change the content of this artifact, and so the keys of what uses it
    schema = problem_schema().with_metadata({"verifier": f"{_VERIFIER} {get_verifier(_VERIFIER).version}"})
    count = write_table(ctx.out / TABLE_FILES[OUTPUT], rows, schema)
    ctx.events.progress(count, config.count, "problems")


def make_problems(config: Config) -> Iterator[Problem]:
    """The configured problems, one at a time.

    Raises:
        UserError: E411 if there are fewer distinct problems than `count`.
    """
    sources: dict[Family, Iterator[WordProblem]] = {name: _distinct(config, name) for name in config.families}
    yield from map(as_problem, in_proportion(config.families, sources, config.count, partial(_exhausted, config)))


def _exhausted(config: Config, family: Family, made: int) -> UserError:
    return UserError.of(
        "E411",
        f"the {config.split} split has only {made} distinct word problems of the family '{family}', "
        f"and {config.count} problems with these weights need more",
        f"lower 'count' or the weight of '{family}' in 'families'",
    )


def _distinct(config: Config, family: Family) -> Iterator[WordProblem]:
    """Problems with a new structure or a new answer, until none can be found."""
    random = Random(seed_for(config.seed, "word_problems", config.split, family))

    def draw() -> WordProblem | None:
        problem = FAMILIES[family](random)
        return problem if problem and split_of(problem.structure) == config.split else None

    return distinct(draw, lambda problem: (problem.structure, problem.answer), _PATIENCE)


def as_problem(problem: WordProblem) -> Problem:
    """The row of a problem, for the `math` verifier."""
    return Problem(
        id=f"{problem.structure.translate(_LETTERS)}-to-{problem.answer}",
        question=problem.question,
        answer=str(problem.answer),
        verifier=_VERIFIER,
        info={
            "structure": problem.structure,
            "redo": " ".join(f"{operator}{number}" for operator, number in problem.redo),
            "wanted": problem.wanted,
        },
        level=problem.family,
    )
