"""Which prompts reinforcement learning asks. These settings are part of stage keys, so nothing heavy is imported."""

from typing import Annotated

from pydantic import Field, field_validator

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import Config, Reference, TreesRef


class Difficulty(Config):
    """A band of difficulty that follows the policy: problems that it solves sometimes are asked again.

    Each problem has a pass rate under the present policy: the share of right responses in its groups so far, in which
    each group counts half as much as the next one of that problem.
    """

    band: tuple[float, float] = (0.1, 0.9)
    """Range of pass rates, both ends included, from which problems are drawn."""
    explore: float = Field(default=0.5, ge=0, lt=1)
    """Share of prompts that are drawn from outside the band: problems that were not tried yet and then those that were
    tried the longest ago, so that rates follow the policy."""
    rates: Annotated[str | None, Reference((ArtifactType.PROBLEMS, ArtifactType.TREES))] = None
    """Rates to start from: a `pass_rate` source, or search trees, of some of the problems. By default no problem has a
    rate before it was tried."""

    @field_validator("band")
    @classmethod
    def _range(cls, band: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= band[0] <= band[1] <= 1:
            raise ValueError("band needs two numbers with 0 <= low <= high <= 1")
        return band


class StartFrom(Config):
    """Prompts that begin inside a solution: at a node of a search tree below which there are right and wrong ends.

    The steps up to the node are the beginning of the response. They are given, not learned; the reward is that of the
    whole response.
    """

    trees: TreesRef
    """The search trees. Their problems need not be those of the stage."""
    share: float = Field(default=0.5, gt=0, lt=1)
    """Share of prompts that begin at a node."""
