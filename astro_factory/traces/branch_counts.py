"""How many wrong branches a trace gets: the distributions that a spec can name.

wrong_branches: 2                                   # always two
wrong_branches: [0, 2]                              # 0, 1 or 2, equally often
wrong_branches: {0: 0.25, 1: 0.5, 2: 0.25}          # with these shares
wrong_branches: {natural: 0.6, uniform: [0, 6]}     # 60% as many as the policy itself fails, the others 0 to 6
"""

from random import Random
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from astro_factory.core.config import Config

Count = Annotated[int, Field(ge=0, le=100)]


def _ordered(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound comes first")
    return bounds


def _not_all_zero(shares: dict[int, float]) -> dict[int, float]:
    if not sum(shares.values()):
        raise ValueError("at least one count needs a share above 0")
    return dict(sorted(shares.items()))


Bounds = Annotated[tuple[Count, Count], AfterValidator(_ordered)]


class Mixture(Config):
    """As often as the policy fails, mixed with a uniform draw, so that long searches occur too."""

    natural: float = Field(ge=0, le=1)
    """Share of traces that fail as often as the policy does: its terminals are drawn until one is correct."""
    uniform: Bounds
    """The other traces: lowest and highest number, all equally likely. The highest also caps the natural ones."""


def _form(value: Any) -> str:
    if isinstance(value, Mixture) or (isinstance(value, dict) and {"natural", "uniform"} & set(value)):
        return "mixture"
    return "shares" if isinstance(value, dict) else "range" if isinstance(value, list | tuple) else "number"


WrongBranches = Annotated[
    Annotated[Count, Tag("number")]
    | Annotated[Bounds, Tag("range")]
    | Annotated[
        dict[Count, Annotated[float, Field(ge=0)]], Field(min_length=1), AfterValidator(_not_all_zero), Tag("shares")
    ]
    | Annotated[Mixture, Tag("mixture")],
    Discriminator(_form),
]


BranchCount = int | tuple[int, int] | dict[int, float] | Mixture
"""A validated `WrongBranches` value."""


def draw_count(branches: BranchCount, natural: int, random: Random) -> int:
    """A number drawn from a distribution; `natural` is how often the policy failed in this trace's draw."""
    if isinstance(branches, Mixture):
        low, high = branches.uniform
        return min(natural, high) if random.random() < branches.natural else random.randint(low, high)
    if isinstance(branches, dict):
        return random.choices(list(branches), list(branches.values()))[0]
    return random.randint(*branches) if isinstance(branches, tuple) else branches


def may_draw(branches: BranchCount) -> bool:
    """Whether a distribution ever asks for a wrong branch."""
    if isinstance(branches, Mixture):
        return branches.uniform[1] > 0
    if isinstance(branches, dict):
        return any(count > 0 and share > 0 for count, share in branches.items())
    return max(branches if isinstance(branches, tuple) else (branches,)) > 0
