"""A suite: which problems are asked, how they are sampled, and what is reported."""

import re
from typing import Annotated

from pydantic import Field, model_validator

from astro_factory.core.config import Config, NamedProblemsRef

HEADLINE = re.compile(r"(pass|maj)@([1-9][0-9]*)")


class Suite(Config):
    """A value of `suites:`."""

    name: str = ""
    """What reports call it; by default the names of its problems."""
    problems: list[NamedProblemsRef] = Field(min_length=1)
    """Problem sources; with several, results are also given for each."""
    samples: int = Field(8, gt=0)
    """Samples of each problem from every arm."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature; 0 is greedy and needs one sample."""
    max_tokens: int = Field(1024, gt=0)
    """Longest response; what is cut off here has usually not stated its answer and is reported as truncated."""
    metrics: list[Annotated[str, Field(pattern=rf"^{HEADLINE.pattern}$")]] = Field(["pass@1"], min_length=1)
    """`pass@k` and `maj@k`, unbiased from all samples. Lengths, truncation, missing answers and, with a template to
    count by, backtracks are always reported."""
    levels: bool = True
    """Whether to break results down by the problems' levels."""
    cluster: str = ""
    """Key of the problems' info whose equal values make them dependent, such as `numbers` in countdown (in any order):
    intervals then resample these clusters instead of problems."""

    @model_validator(mode="after")
    def _consistent(self) -> "Suite":
        for metric in self.metrics:
            k = int(HEADLINE.fullmatch(metric)[2])
            if k > self.samples:
                raise ValueError(f"{metric} needs at least {k} samples; set samples to {k} or more")
        if self.temperature == 0 and self.samples > 1:
            raise ValueError("at temperature 0 all samples of a problem are equal; set samples to 1")
        return self

    @property
    def title(self) -> str:
        return self.name or " + ".join(self.problems)
