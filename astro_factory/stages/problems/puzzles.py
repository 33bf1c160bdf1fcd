"""Generated puzzles of any domain: distinct, solvable, and split by what makes a puzzle.

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
from astro_factory.stages.domain_fields import DomainName, domain_mark
from astro_factory.stages.problems.in_proportion import distinct, in_proportion
from astro_factory.verifiers.puzzles import PuzzleDomain, Weights, get_domain, weights_of
from astro_factory.verifiers.splits import Split, TrainingBuckets, check_buckets, is_drawn

OUTPUT = ArtifactType.PROBLEMS
VERSION = 1
HEAVY = False

_PATIENCE = 50_000
"""After this many draws in a row without a new puzzle, (nearly) all puzzles of a size have been found."""


class Config(StageConfig):
    kind: Literal["puzzles"]
    domain: DomainName
    """`guess_number`, `guess_in_turn`, `mastermind`, `sorting`, `kinship`, or a domain of an installed package."""
    sizes: Weights | list[int]
    """How large the puzzles are: a list of sizes, or a mapping of size to weight such as `{3: 0.4, 4: 0.6}`. What a
    size counts depends on the domain: candidates, pegs, numbers, persons."""
    count: int = Field(gt=0)
    """Number of problems; no two are the same puzzle."""
    split: Split = "train"
    """Which puzzles to use: a hash of what makes a puzzle puts 8 of 10 in train, 1 in dev and 1 in test."""
    buckets: TrainingBuckets = Field(default_factory=list)
    """Which of the training split's buckets, 2 to 9, to draw from; all of them if empty. Sources with different buckets
    share no puzzle, so that practice, search and RL can each have their own."""
    seed: int = 0
    """Source of randomness."""

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        check_buckets(self.split, self.buckets)
        weights_of(get_domain(self.domain), self.sizes)
        return self

    def key_additions(self) -> dict[str, str]:
        return {"domain": domain_mark(self.domain)}


def estimate(config: Config, rows: Rows) -> Workload:
    return Workload("problems", config.count, rows=config.count)


def run(ctx: StageContext, config: Config) -> None:
    domain = get_domain(config.domain)
    rows = (problem.as_row() for problem in _checked(domain, make_problems(config)))
    # a changed verifier must change the content of this artifact, and so the keys of what uses it
    schema = problem_schema().with_metadata({"verifier": domain_mark(config.domain)})
    count = write_table(ctx.out / TABLE_FILES[OUTPUT], rows, schema)
    ctx.events.progress(count, config.count, "problems")


def _checked(domain: PuzzleDomain, problems: Iterator[Problem]) -> Iterator[Problem]:
    for problem in problems:
        if reason := domain.check_problem(problem):
            remedy = f"correct `draw` or `check_problem` of the domain '{domain.name}'"
            raise UserError.of("E431", f"problem {problem.id} cannot be verified: {reason}", remedy)
        yield problem


def make_problems(config: Config) -> Iterator[Problem]:
    """The configured problems, one at a time.

    Raises:
        UserError: E411 if there are fewer distinct problems than `count`.
    """
    domain = get_domain(config.domain)
    weights = weights_of(domain, config.sizes)
    sources = {size: _distinct_puzzles(config, domain, size) for size in weights}
    yield from in_proportion(weights, sources, config.count, partial(_exhausted, config, domain))


def _exhausted(config: Config, domain: PuzzleDomain, size: int, made: int) -> UserError:
    return UserError.of(
        "E411",
        f"the {config.split} split has only {made} distinct puzzles of '{config.domain}' with {size} "
        f"{domain.size_word}, and {config.count} problems with these sizes need more",
        "lower 'count', or use larger sizes",
    )


def _distinct_puzzles(config: Config, domain: PuzzleDomain, size: int) -> Iterator[Problem]:
    random = Random(seed_for(config.seed, "puzzles", config.domain, config.split, size))

    def draw() -> Problem | None:
        problem = domain.draw(random, size)
        return problem if problem and is_drawn(domain.identity(problem), config.split, config.buckets) else None

    return distinct(draw, domain.identity, _PATIENCE)
