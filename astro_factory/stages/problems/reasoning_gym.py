"""Problems that reasoning-gym generates, from any of its tasks."""

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError, near
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import write_table
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.gym import pack, require_gym

OUTPUT = ArtifactType.PROBLEMS
VERSION = 3
HEAVY = True  # some tasks are only reproducible with the fixed hash seed of a separate process


class Config(StageConfig):
    kind: Literal["reasoning_gym"]
    task: str
    """Name of the task, such as `chain_sum`."""
    count: int = Field(gt=0)
    """Number of problems."""
    seed: int = 0
    """Source of the problems; two sources with different seeds may still share problems of a small task."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of the task's own configuration, such as `max_terms: 4`."""
    instruction: str = "Put the final answer between <answer> and </answer>."
    """Text appended to every question."""


def run(ctx: StageContext, config: Config) -> None:
    problems = list(make_problems(config))
    verifier = get_verifier("reasoning_gym")
    for number, problem in enumerate(problems, start=1):
        if reason := verifier.check_problem(problem):
            raise UserError.of("E431", f"problem {problem.id} cannot be verified: {reason}", "choose another task")
        ctx.events.progress(number, config.count, "problems")
    schema = problem_schema().with_metadata({"verifier": f"reasoning_gym {verifier.version}"})
    write_table(ctx.out / TABLE_FILES[OUTPUT], (problem.as_row() for problem in problems), schema)


def make_problems(config: Config) -> Iterator[Problem]:
    """The configured problems.

    Raises:
        UserError: E403 without the package, E429 for an unknown task, E430 for options the task refuses.
    """
    require_gym()
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if config.task not in DATASETS:
        raise UserError.of("E429", f"reasoning-gym has no task '{config.task}'", near(config.task, DATASETS))
    try:
        entries = reasoning_gym.create_dataset(config.task, size=config.count, seed=config.seed, **config.options)
    except (AssertionError, TypeError, ValueError) as error:
        remedy = "see the task's configuration in reasoning-gym"
        raise UserError.of("E430", f"task '{config.task}' refuses its options: {error}", remedy) from error
    for index in range(config.count):
        entry = entries[index]
        info = {"task": config.task, "metadata": pack(entry["metadata"])}
        yield Problem(
            id=f"{config.task}-{config.seed}-{index}",
            question=f"{entry['question']}\n\n{config.instruction}".strip(),
            answer=entry["answer"] or "",
            verifier="reasoning_gym",
            info=json.loads(json.dumps(info)),
        )
