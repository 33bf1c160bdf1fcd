"""Practice documents: the sub-skills a small base model needs before it can learn from search.

A model that has never reasoned must first calculate, compare and copy reliably. Then traces of a search teach it to
search; without these skills they teach only the style. No document contains a search.
"""

from random import Random
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.documents import weighted, write_documents
from astro_factory.verifiers.countdown_puzzles import PuzzleRules
from astro_factory.verifiers.countdown_skills import SKILLS

OUTPUT = ArtifactType.DIALOGUES
VERSION = 1
HEAVY = False

Skill = Literal["solve", "attempt", "series", "check", "arithmetic", "unchecked_attempt", "unchecked_series"]
_SKILLS: tuple[Skill, ...] = get_args(Skill)
"""Order in which skills are drawn from; the order of a mapping in the spec does not count."""
_PATIENCE = 100_000


class Config(StageConfig, PuzzleRules):
    kind: Literal["practice"]
    domain: Literal["countdown"] = "countdown"
    """What is practised."""
    count: int = Field(gt=0)
    """How many documents."""
    skills: dict[Skill, float] = Field(
        default_factory=lambda: {"solve": 0.5, "attempt": 0.3, "series": 0.05, "check": 0.1, "arithmetic": 0.05}
    )
    """Weight of each skill: correct solutions, honest attempts, series of attempts, comparisons, calculations. Attempts
    and series compare their ends with the target; `unchecked_attempt` and `unchecked_series` never do, for a base that
    has to learn the check by itself."""
    seed: int = 0
    """Source of randomness."""

    @field_validator("skills")
    @classmethod
    def _weighted(cls, skills: dict[str, float]) -> dict[str, float]:
        return weighted(skills, _SKILLS)


def estimate(config: Config, rows: Rows) -> Workload:
    return Workload("documents", config.count, rows=config.count)


def run(ctx: StageContext, config: Config) -> None:
    write_documents(ctx, lambda index: make_document(config, index), config.count)


def make_document(config: Config, index: int) -> dict[str, Any]:
    """The document at a position. It depends only on the configuration and the position.

    Raises:
        UserError: E412 if the puzzle rules allow (nearly) no document of a skill.
    """
    random = Random(seed_for(config.seed, "practice", index))
    skill = random.choices(list(config.skills), list(config.skills.values()))[0]
    for _ in range(_PATIENCE):
        if document := SKILLS[skill](random, config):
            user, assistant = document
            messages = [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
            return {"id": f"{skill}-{index}", "skill": skill, "messages": messages}
    raise UserError.of(
        "E412",
        f"{_PATIENCE} draws with these puzzle rules gave no practice document of skill '{skill}'",
        "widen 'number_range' or 'target_range', or raise 'max_value'",
    )
