"""The layout of `report.json` and `analysis.json`.

    report = Report.read(folder)
    report.arms["astro_rl"]["pass@1[avg-of-8]"].value

`schema_version` numbers the layout. Version 1 does not write the field, so a file without it has version 1; every later
version does. A new optional field keeps the version; a field that changes its meaning or goes away raises it.
"""

import json
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, ValidationError

from astro_factory.core.config import Config
from astro_factory.core.errors import UserError, shown


class Layout(Config):
    """A part of a JSON file; fields that this version does not know are ignored."""

    model_config = ConfigDict(extra="ignore")


class JsonFile(Layout):
    """A whole file."""

    file_name: ClassVar[str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The file of a stage's output folder. Raises `UserError` E807 if it is not in this layout."""
        path = folder / cls.file_name
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            cause = f"{shown(path)} cannot be read: {place}: {first['msg']}"
            raise UserError.of("E807", cause, "read it with the version of astro-factory that wrote it") from error

    def to_json(self) -> str:
        """The bytes of the file: fields that were never set are left out."""
        return json.dumps(self.model_dump(mode="json", exclude_unset=True), indent=1, ensure_ascii=False) + "\n"


class ValueInterval(Layout):
    """A value with its bootstrap interval."""

    value: float
    """Mean over problems (a correlation in `analysis.json`)."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""


class PairedDifference(Layout):
    """One metric of one pair of `compare`."""

    arm: str
    """The arm, by its name in the spec."""
    baseline: str
    """The arm that it is compared with."""
    metric: str
    """Name of the metric with its definition, such as `pass@1[avg-of-8]`."""
    difference: float
    """The arm's mean minus the baseline's, on the same problems."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    detectable: float | None = None
    """The smallest true difference that a comparison of this size would find with a power of 80 %; null where all
    problems differ by as much, and in older reports."""


class SampleAndCheck(Layout):
    """Sampling the baseline until the domain's own check accepts a sample, for as many tokens as the arm spends."""

    limit: int
    """Token budget of a run: the largest one under which runs spend no more tokens, on average, than the arm."""
    tokens: float
    """Mean tokens of a run."""
    value: ValueInterval
    """Share of runs that end with a correct answer."""
    difference: float
    """The arm's pass@1 minus `value`."""
    low: float
    """Lower end of the difference's interval if every run that ran out of samples had ended correctly."""
    high: float
    """Upper end of the difference's interval if none had."""
    exhausted: float
    """Share of runs with budget left when the baseline's samples ran out; more samples would raise `value`."""


class CurvePoint(Layout):
    """What a token budget buys."""

    limit: float
    """The budget of one problem, in tokens."""
    tokens: float
    """Mean tokens spent within it."""
    value: ValueInterval
    """Share of problems answered correctly."""
    exhausted: float
    """Share of runs with budget left when the samples ran out."""


Control = Literal["one_response", "sample_and_check", "check_steps"]


class TokenCurve(Layout):
    """Accuracy against tokens."""

    arm: str
    """The arm, by its name in the spec."""
    control: Control
    """One response, cut off at the budget; or responses one after the other until the domain's check accepts one; or
    the same with a check that reads the steps, where a failed response costs its tokens up to the step showing it."""
    points: list[CurvePoint]
    """By growing budget."""


class EqualTokens(Layout):
    """One sample of an arm against the majority vote of as many samples of the baseline as cost the same tokens."""

    arm: str
    """The arm, by its name in the spec."""
    baseline: str
    """The arm whose samples vote."""
    tokens: dict[str, float]
    """Mean tokens of a sample, by arm."""
    votes: float
    """Ratio of these means: how many samples of the baseline cost as much as one of the arm."""
    capped: bool
    """Whether the baseline has fewer samples than that; all of them vote then."""
    arm_metric: str
    """The arm's metric, pass@1."""
    arm_value: ValueInterval
    """Value of `arm_metric`."""
    baseline_metric: str
    """The baseline's metric, maj@k with k = `votes`, interpolated between whole numbers."""
    baseline_value: ValueInterval
    """Value of `baseline_metric`."""
    difference: float
    """`arm_value` minus `baseline_value`."""
    low: float
    """Lower end of the difference's interval."""
    high: float
    """Upper end of the difference's interval."""
    oracle_metric: str
    """pass@k of the baseline at the same k: what a perfect judge of that many samples would score."""
    oracle_value: ValueInterval
    """Value of `oracle_metric`."""
    sample_and_check: SampleAndCheck | None = None
    """The sequential control; absent if the domain has no check of its own."""
    check_steps: SampleAndCheck | None = None
    """The same with a check that ends a failed response at the step that shows it; absent if the domain has none."""


class ProblemGroup(Layout):
    """The numbers of a set of problems: all of them, those of one level, or those of one source."""

    problems: int
    """How many problems."""
    clusters: int
    """How many independent clusters they form; intervals resample clusters."""
    arms: dict[str, dict[str, ValueInterval]]
    """Arm to metric to value, in the order of the spec."""
    paired: list[PairedDifference]
    """Every metric of every pair of `compare`."""
    equal_tokens: list[EqualTokens]
    """The equal-token control of every pair of `equal_tokens`."""


class ReportSettings(Layout):
    """What the numbers depend on besides the samples."""

    problems: list[str]
    """Problem sources of the suite."""
    samples: int
    """Samples of each problem on which every arm is reported."""
    temperature: float
    """Sampling temperature."""
    max_tokens: int
    """Longest response, in tokens."""
    verifiers: list[str]
    """Verifiers of the problems."""
    seed: int
    """Seed of the samples and of the bootstrap."""
    cluster: str
    """Key of the problems' info that defines clusters; empty where each problem is its own."""
    confidence: float
    """Confidence level of the intervals."""
    resamples: int
    """Bootstrap resamples."""


class BacktrackCount(Layout):
    """The samples with one number of backtracks."""

    samples: int
    """How many there are."""
    correct: float
    """Share of them that is correct."""


class _Heading(JsonFile):
    schema_version: Literal[1] = 1
    """Version of this layout; a file without the field has version 1."""
    suite: str
    """Title of the suite."""
    settings: ReportSettings
    """What the numbers depend on besides the samples."""


class Report(ProblemGroup, _Heading):
    """`report.json`: every arm's metrics with intervals, paired differences, the equal-token control."""

    file_name = "report.json"

    levels: dict[str, ProblemGroup]
    """The same by the problems' level; empty where there is one level, or `levels` is off."""
    sources: dict[str, ProblemGroup]
    """The same by problem source; empty where there is one."""
    macro: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Arm to metric to the mean over sources, each counting equally however many problems it has; empty where there is
    one source."""
    outcomes: dict[str, dict[str, int]]
    """Arm to verdict to number of samples."""
    correct_by_backtracks: dict[str, dict[str, BacktrackCount]]
    """Arm to number of backtracks to the samples that have it; empty without a template to count by."""
    curves: list[TokenCurve] = Field(default_factory=list)
    """Accuracy against tokens of every arm, and of sampling it until the domain's check accepts."""


class DifferenceTest(Layout):
    """The sign-flip test of one score of one pair of `compare`."""

    arm: str
    """The arm, by its name in the spec."""
    baseline: str
    """The arm that it is compared with."""
    metric: str
    """Name of the metric with its definition, such as `pass@1[avg-of-8]`."""
    difference: float
    """The arm's mean minus the baseline's."""
    p: float
    """Two-sided p-value."""
    p_corrected: float
    """p-value corrected for all comparisons of the report (Holm 1979)."""
    holds: bool
    """Whether `p_corrected` is below 0.05."""


class ArmCorrelation(Layout):
    """Pearson's correlation of a sample's backtracks with its being correct; null where one of them never varies."""

    samples: ValueInterval | None
    """Over all samples."""
    within_problems: ValueInterval | None
    """After subtracting each problem's means, so that hard problems cannot cause it."""


class BacktrackCorrelations(Layout):
    """Whether samples that backtrack more are correct more often."""

    arms: dict[str, ArmCorrelation] = Field(default_factory=dict)
    """By arm."""
    between_arms: ValueInterval | None = None
    """Written by earlier versions in place of `between_arm_means`, with an interval over problems alone."""
    between_arm_means: float | None = None
    """Of the arms' mean backtracks with their mean scores; absent for fewer than three arms. It has no interval: the
    arms of a spec are few, and no sample of anything."""


class ArmVerdicts(Layout):
    """How an arm's samples were judged."""

    shares: dict[str, float]
    """Verdict to share of the samples."""
    levels: dict[str, dict[str, float]]
    """The same by the problems' level."""
    too_many_unjudged: bool
    """Whether more than 1 % of the samples ended in a timeout or an error of the verifier."""


class Analysis(JsonFile):
    """`analysis.json`: which differences hold, whether backtracking pays, how samples were judged."""

    file_name = "analysis.json"

    schema_version: Literal[1] = 1
    """Version of this layout; a file without the field has version 1."""
    differences: list[DifferenceTest]
    """Every score of every pair of `compare`."""
    backtracks: BacktrackCorrelations
    """Correlations of backtracks with being correct; empty without a template to count by."""
    verdicts: dict[str, ArmVerdicts]
    """By arm."""
