"""How many wrong branches a trace gets: the distributions a spec can name.

wrong_branches: 2                                   # always two
wrong_branches: [0, 2]                              # 0, 1 or 2, equally often
wrong_branches: {0: 0.25, 1: 0.5, 2: 0.25}          # these shares
wrong_branches: {natural: 0.6, uniform: [0, 6]}     # 60% as many as the policy itself fails, else 0 to 6
"""

from random import Random
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from astro_factory.core.config import Config

Count = Annotated[int, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0)]


def _ordered(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound comes first")
    return bounds


def _positive(shares: dict[int, float]) -> dict[int, float]:
    if not sum(shares.values()):
        raise ValueError("at least one count needs a share above 0")
    return dict(sorted(shares.items()))


Bounds = Annotated[tuple[Count, Count], AfterValidator(_ordered)]


class Mixture(Config):
    """As often as the policy fails, mixed with a plain draw, so that long searches are seen too."""

    natural: float = Field(ge=0, le=1)
    """Share of traces that go wrong as often as the policy does: its terminals are drawn until a right one comes."""
    uniform: Bounds
    """The other traces: lowest and highest number, all equally likely. The highest also caps the natural ones."""


def _form(value: Any) -> str:
    if isinstance(value, Mixture) or (isinstance(value, dict) and {"natural", "uniform"} & set(value)):
        return "mixture"
    return "shares" if isinstance(value, dict) else "range" if isinstance(value, list | tuple) else "number"


WrongBranches = Annotated[
    Annotated[Count, Tag("number")]
    | Annotated[Bounds, Tag("range")]
    | Annotated[dict[Count, Share], Field(min_length=1), AfterValidator(_positive), Tag("shares")]
    | Annotated[Mixture, Tag("mixture")],
    Discriminator(_form),
]


def draw_count(branches: Any, natural: int, random: Random) -> int:
    """A number from a `WrongBranches` value; `natural` is how often the policy failed in this trace's draw."""
    if isinstance(branches, Mixture):
        low, high = branches.uniform
        return min(natural, high) if random.random() < branches.natural else random.randint(low, high)
    if isinstance(branches, dict):
        return random.choices(list(branches), list(branches.values()))[0]
    return random.randint(*branches) if isinstance(branches, tuple) else branches
