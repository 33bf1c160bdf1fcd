"""Practice documents: the sub-skills a small base model needs before it can learn from search.

A model that has never reasoned must first calculate, compare and copy reliably. Then traces of a search teach it to
search; without these skills they teach only the style. No document contains a search.
"""

from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import LATER, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.dialogues import dialogue_row
from astro_factory.core.errors import UserError, near
from astro_factory.core.problems import Problem
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.documents import weighted, write_documents
from astro_factory.stages.domain_fields import domain_mark, known_domain
from astro_factory.verifiers.countdown_puzzles import PuzzleRules
from astro_factory.verifiers.countdown_skills import SKILLS
from astro_factory.verifiers.puzzles import Document, Weights, get_domain, weights_of
from astro_factory.verifiers.splits import is_drawn

OUTPUT = ArtifactType.DIALOGUES
VERSION = 1
HEAVY = False

_COUNTDOWN = "countdown"
_PATIENCE = 100_000


class Config(StageConfig, PuzzleRules):
    kind: Literal["practice"]
    domain: str = _COUNTDOWN
    """What is practised: `countdown`, or a domain as in `kind: puzzles`. The fields `numbers`, `number_range`,
    `max_value` and `target_range` are rules of countdown; a domain has `sizes`."""
    sizes: Annotated[Weights | list[int], LATER] = Field(default_factory=dict)
    """How large the puzzles of a domain are, as in `kind: puzzles`."""
    count: int = Field(gt=0)
    """How many documents."""
    skills: dict[str, float] = Field(
        default_factory=lambda: {"solve": 0.5, "attempt": 0.3, "series": 0.05, "check": 0.1, "arithmetic": 0.05}
    )
    """Weight of each skill: correct solutions (`solve`), honest attempts (`attempt`), series of attempts (`series`),
    and the exercises of the domain. Default: the domain's own weights. The default shown is countdown's, with
    comparisons (`check`) and calculations (`arithmetic`). Attempts and series check their ends; countdown's
    `unchecked_attempt` and `unchecked_series` never do, for a base that has to learn the check by itself."""
    seed: int = 0
    """Source of randomness."""

    @model_validator(mode="before")
    @classmethod
    def _usual_skills(cls, values: Any) -> Any:
        """Fills in those of another domain, whose weights are its own."""
        if isinstance(values, Mapping) and "skills" not in values and isinstance(name := values.get("domain"), str):
            with suppress(ValueError):  # of an unknown domain, which the field reports
                return values if name == _COUNTDOWN else {**values, "skills": dict(get_domain(name).skills)}
        return values

    @field_validator("domain")
    @classmethod
    def _known(cls, domain: str) -> str:
        return domain if domain == _COUNTDOWN else known_domain(domain)

    @model_validator(mode="after")
    def _rules_of_the_domain(self) -> "Config":
        if self.domain == _COUNTDOWN:
            if self.sizes:
                raise ValueError("'sizes' is for other domains; countdown has 'numbers'")
            return self
        own = ("numbers", "number_range", "max_value", "target_range")
        if written := [name for name in own if name in self.model_fields_set]:
            raise ValueError(f"'{written[0]}' is a rule of countdown; '{self.domain}' has 'sizes'")
        weights_of(get_domain(self.domain), self.sizes)
        return self

    @field_validator("skills")
    @classmethod
    def _weighted(cls, skills: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        domain = info.data.get("domain")
        if domain is None:  # it is wrong itself
            return skills
        order = list(SKILLS if domain == _COUNTDOWN else get_domain(domain).skills)
        if unknown := [name for name in skills if name not in order]:
            raise ValueError(f"{domain} has no skill '{unknown[0]}'; {near(unknown[0], order)}")
        return weighted(skills, order)

    def key_additions(self) -> dict[str, str]:
        return {} if self.domain == _COUNTDOWN else {"domain": domain_mark(self.domain)}


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
    make = _countdown if config.domain == _COUNTDOWN else _of_domain
    return dialogue_row(f"{skill}-{index}", skill, *make(config, skill, random))


def _countdown(config: Config, skill: str, random: Random) -> Document:
    for _ in range(_PATIENCE):
        if document := SKILLS[skill](random, config):
            return document
    raise _impossible(skill, "widen 'number_range' or 'target_range', or raise 'max_value'")


def _of_domain(config: Config, skill: str, random: Random) -> Document:
    """A document of training puzzles alone."""
    domain = get_domain(config.domain)
    weights = weights_of(domain, config.sizes)

    def draw() -> Problem:
        for _ in range(_PATIENCE):
            size = random.choices(list(weights), list(weights.values()))[0]
            problem = domain.draw(random, size)
            if problem and is_drawn(domain.identity(problem), "train", config.buckets):
                return problem
        raise _impossible(skill, "use other 'sizes' or more 'buckets'")

    return domain.document(random, skill, draw)


def _impossible(skill: str, remedy: str) -> UserError:
    return UserError.of(
        "E412", f"{_PATIENCE} draws with these puzzle rules gave no practice document of skill '{skill}'", remedy
    )
