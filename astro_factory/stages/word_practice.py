"""Practice documents for word problems: the sub-skills that a small base model needs before it can learn from search.

Reading, one calculation a step, and checks of an answer; no document contains a search. `practice` does the same for
countdown puzzles.
"""

from random import Random
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.dialogues import dialogue_row
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.documents import weighted, write_documents
from astro_factory.stages.word_problems.rules import FamilyRules
from astro_factory.stages.word_problems.skills import SKILLS

OUTPUT = ArtifactType.DIALOGUES
VERSION = 1
HEAVY = False

Skill = Literal["solve", "attempt", "series", "judge", "compare", "arithmetic"]
_SKILLS: tuple[Skill, ...] = get_args(Skill)
"""Order in which skills are drawn from; the order of a mapping in the spec does not count."""


class Config(StageConfig, FamilyRules):
    kind: Literal["word_practice"]
    count: int = Field(gt=0)
    """How many documents."""
    skills: dict[Skill, float] = Field(
        default_factory=lambda: {
            "solve": 0.5, "attempt": 0.25, "series": 0.05, "judge": 0.08, "compare": 0.04, "arithmetic": 0.08
        }
    )  # fmt: skip
    """Weight of each skill: right solutions, honest attempts with their check, several of them in one response, checks
    of a given answer, comparisons, calculations."""
    system_prompt: str = ""
    """System message of some of the right solutions, so that the model knows the request; empty for none."""
    system_share: float = Field(0.2, ge=0, le=1)
    """Share of the right solutions that get it."""
    seed: int = 0
    """Source of randomness."""

    @field_validator("skills")
    @classmethod
    def _weighted_skills(cls, skills: dict[Skill, float]) -> dict[Skill, float]:
        return weighted(skills, _SKILLS)


def estimate(config: Config, rows: Rows) -> Workload:
    return Workload("documents", config.count, rows=config.count)


def run(ctx: StageContext, config: Config) -> None:
    write_documents(ctx, lambda index: make_document(config, index), config.count)


def make_document(config: Config, index: int) -> dict[str, Any]:
    """The document at a position. It depends only on the configuration and the position."""
    random = Random(seed_for(config.seed, "word_practice", index))
    skill = random.choices(list(config.skills), list(config.skills.values()))[0]
    document = None
    while document is None:  # every family gives a problem in a few draws
        document = SKILLS[skill](random, config.families)
    row = dialogue_row(f"{skill}-{index}", skill, *document)
    if skill == "solve" and config.system_prompt and random.random() < config.system_share:
        row["messages"].insert(0, {"role": "system", "content": config.system_prompt})
    return row
