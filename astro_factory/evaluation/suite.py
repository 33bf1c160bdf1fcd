"""A suite: its problems, how they are sampled, and what is reported."""

import re
from typing import Annotated

from pydantic import Field, model_validator

from astro_factory.core.config import Config, NamedProblemsRef

_METRIC = re.compile(r"(pass|maj)@([1-9][0-9]*)")


def parse_metric(metric: str) -> tuple[str, int]:
    """`pass@8` to ("pass", 8). Raises `ValueError` for other names."""
    match = _METRIC.fullmatch(metric)
    if match is None:
        raise ValueError(f"'{metric}' is neither pass@k nor maj@k")
    return match[1], int(match[2])


class Suite(Config):
    """A value of `suites:`."""

    name: str = ""
    """Title in reports; by default the names of its problems."""
    problems: list[NamedProblemsRef] = Field(min_length=1)
    """Problem sources; with several, the report also gives results for each."""
    samples: int = Field(8, gt=0)
    """Samples of each problem from every arm."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature; 0 is greedy and needs one sample."""
    max_tokens: int = Field(1024, gt=0)
    """Longest response, in tokens. A response that is cut off here counts as truncated and has usually no answer."""
    metrics: list[Annotated[str, Field(pattern=rf"^{_METRIC.pattern}$")]] = Field(["pass@1"], min_length=1)
    """`pass@k` and `maj@k`, unbiased from all samples. Lengths, truncation, missing answers and, with `backtracks`,
    backtracks are always reported."""
    levels: bool = True
    """Whether to break results down by the problems' levels."""
    cluster: str = ""
    """Key of the problems' info, such as `numbers` in countdown. Problems with equal values (lists in any order) are
    not independent: intervals then resample these clusters instead of problems."""

    @model_validator(mode="after")
    def _consistent(self) -> "Suite":
        for metric in self.metrics:
            k = parse_metric(metric)[1]
            if k > self.samples:
                raise ValueError(f"{metric} needs at least {k} samples; set samples to {k} or more")
        if self.temperature == 0 and self.samples > 1:
            raise ValueError("at temperature 0 all samples of a problem are equal; set samples to 1")
        return self

    @property
    def title(self) -> str:
        return self.name or " + ".join(self.problems)
