"""What commands print with `--json` of what a run is expected to take; docs/reference/json.md shows it."""

from typing import Literal

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12 on

documented = with_config(ConfigDict(use_attribute_docstrings=True, extra="forbid"))
"""Decorates a TypedDict: the string under a field is its documentation, and fields that are not declared are errors."""


@documented
class RangeOutput(TypedDict):
    """An estimate with its 95 % interval."""

    value: float
    """The estimate."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


@documented
class ExtrapolationOutput(TypedDict):
    """What the items that are in the store say about a run; amounts are what is left to do."""

    unit: str
    """What an item is, such as `trees`."""
    done: int
    """Items in the store."""
    total: int
    """Items of the whole run."""
    calls: RangeOutput
    """Samples from a model."""
    tokens: RangeOutput
    """Tokens that are sampled."""
    seconds: RangeOutput | None
    """Running time; null if the speed is not known."""
    solved: RangeOutput
    """Share of the items with a correct answer."""


@documented
class EstimateOutput(TypedDict):
    """What a run is expected to take; null is unknown."""

    calls: int | None
    """Samples from a model."""
    tokens: int | None
    """Tokens that are sampled, or trained on."""
    seconds: float | None
    """Summed over all processors."""
    processor: Literal["cores", "GPUs"]
    """The unit of `seconds`."""
    bytes: int | None
    """Size of the output."""
    rows: int | None
    """Rows of the output."""
    basis: str
    """`at most` for the limits of the config, otherwise the earlier runs or the items that the estimate comes from."""
    most_calls: int | None
    """Samples from a model at most, by the config."""
    most_tokens: int | None
    """Sampled tokens at most, by the config."""
    extrapolation: ExtrapolationOutput | None
    """What the stored items of the run say; null if it has none."""


@documented
class ProbeOutput(TypedDict):
    """The result of `probe`."""

    ok: bool
    """Whether the probe and what it needs succeeded."""
    name: str
    """The probed stage."""
    key: str | None
    """Digest of its record; null if an input failed."""
    status: Literal["hit", "run", "pending", "import"]
    """`hit` if the stage was built already, and so not probed."""
    failure: str | None
    """Why it failed; the finished items are kept."""
    estimate: EstimateOutput | None
    """What the rest of the stage will take; null for a hit."""
