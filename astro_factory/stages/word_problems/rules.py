"""The part of a configuration that problem sources and practice documents share."""

from typing import Literal, get_args

from pydantic import Field, field_validator

from astro_factory.core.config import Config

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
        if not families or min(families.values()) < 0 or not sum(families.values()):
            raise ValueError("needs at least one family, with weights of which none is below 0")
        return {name: families[name] for name in ORDER if families.get(name)}
