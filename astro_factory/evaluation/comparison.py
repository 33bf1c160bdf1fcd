"""What an evaluation compares: a suite, the arms in the order of the report, and the pairs to compare."""

from typing import Annotated

from pydantic import Field, model_validator

from astro_factory.core.config import LATER, ArmRef, Config, Definition, TemplateField
from astro_factory.core.errors import near
from astro_factory.core.step_format import StepsField
from astro_factory.evaluation.suite import Suite

Pair = tuple[ArmRef, ArmRef]


class Comparison(Config):
    """Everything a report depends on besides the samples."""

    suite: Annotated[Suite, Definition("suites")]
    """Problems, sampling and metrics; a name from `suites:`."""
    arms: list[ArmRef] = Field(min_length=1)
    """The models, in the order of the report."""
    compare: list[Pair] = Field(default_factory=list)
    """Pairs of (arm, baseline). For every metric the report gives their difference on the same problems."""
    equal_tokens: list[Pair] = Field(default_factory=list)
    """Pairs of (arm, baseline). The report compares the arm's pass@1 with what the same number of tokens buys of the
    baseline: the majority vote of that many samples, and, in domains with a check of their own, sampling until the
    check accepts."""
    samples_for: dict[ArmRef, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    """More samples of single arms, used by `equal_tokens` alone: a baseline that writes a third of the arm's tokens
    needs a few times three."""
    backtracks: TemplateField | None = None
    """Template in whose style all arms write. Its wording is used to count backtracks and to read the graphs of
    responses (dead ends, states reached again, backtracks to states that do not exist)."""
    response_steps: Annotated[StepsField | None, LATER] = None
    """What a step of a response is, for these graphs: a name from `step_formats:`, or a mapping. Default: a line."""
    seed: int = 0
    """Seed of the samples and the intervals."""

    @model_validator(mode="after")
    def _consistent(self) -> "Comparison":
        for what, names in {"arms": self.arms, "problems": self.suite.problems}.items():
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"'{twice[0]}' is listed twice in {what}")
        named = [name for pair in (*self.compare, *self.equal_tokens) for name in pair]
        for name in (*named, *self.samples_for):
            if name not in self.arms:
                raise ValueError(f"'{name}' is not one of the arms; {near(name, self.arms)}")
        for arm, baseline in (*self.compare, *self.equal_tokens):
            if arm == baseline:
                raise ValueError(f"'{arm}' is compared with itself")
        if self.samples_for and self.suite.temperature == 0:
            raise ValueError("at temperature 0 all samples of a problem are equal; leave samples_for out")
        for name, samples in self.samples_for.items():
            if samples < self.suite.samples:
                raise ValueError(f"samples_for.{name} is less than the suite's {self.suite.samples} samples")
        return self

    def samples_of(self, arm: str) -> int:
        """How many samples of each problem the arm generates."""
        return self.samples_for.get(arm, self.suite.samples)
