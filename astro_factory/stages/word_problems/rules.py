"""The part of a configuration that problem sources and practice documents share."""

from typing import Literal, get_args

from pydantic import Field, field_validator

from astro_factory.core.config import Config
from astro_factory.stages.documents import weighted

Family = Literal["mix", "parts", "transfer", "ages", "undo", "forward", "units", "read_off"]
ORDER: tuple[Family, ...] = get_args(Family)
"""Order in which families are drawn from; the order of a mapping in the spec does not count."""


class FamilyRules(Config):
    families: dict[Family, float] = Field(default_factory=lambda: dict.fromkeys(ORDER, 1.0))
    """Weight of each family. `mix`, `parts`, `transfer` and `ages` are solved by guess and check, `undo`, `forward` and
    `units` by calculations in the right order; in `read_off` the answer stands in the question."""

    @field_validator("families")
    @classmethod
    def _weighted_families(cls, families: dict[Family, float]) -> dict[Family, float]:
        return {name: weight for name, weight in weighted(families, ORDER, "family").items() if weight}
