"""What commands print with `--json`, as types; docs/reference/json.md is generated from them."""

from typing import Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12 on

from astro_factory.evaluation.harness import ArmComparison
from astro_factory.evaluation.variants import VariantRow

_documented = with_config(ConfigDict(use_attribute_docstrings=True, extra="forbid"))


@_documented
class Position(TypedDict):
    """A place in a file."""

    file: str
    """The file, or the `--set` option; empty if the error has no place."""
    line: int
    """From 1; 0 if there is none."""
    column: int
    """From 1; 0 if there is none."""


@_documented
class DiagnosticOutput(TypedDict):
    """One error or warning."""

    file: str
    """The file, or the `--set` option; empty if the error has no place."""
    line: int
    """From 1; 0 if there is none."""
    column: int
    """From 1; 0 if there is none."""
    code: str
    """Stable code, such as `E104`; `astro-factory explain-error` explains it."""
    excerpt: str
    """The source line with a caret under the column, or empty."""
    cause: str
    """What is wrong."""
    remedy: str
    """What to do about it, or empty."""
    choices: NotRequired[list[str]]
    """Names that would be valid here."""
    used_at: NotRequired[Position]
    """Where the value is used, if it is written elsewhere."""


@_documented
class CheckOutput(TypedDict):
    """The result of `check`, and the output of any command that fails because of its input."""

    ok: bool
    """Whether there are no errors."""
    errors: list[DiagnosticOutput]
    """All errors; then `nodes` and `warnings` are absent."""
    nodes: NotRequired[int]
    """Number of nodes in the graph."""
    warnings: NotRequired[list[DiagnosticOutput]]
    """Parts of the spec that have no effect."""


@_documented
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
    """`at most` for the limits of the config, otherwise the earlier runs that the estimate comes from."""


@_documented
class CostOutput(TypedDict):
    """What a run took."""

    calls: int
    """Samples from a model."""
    tokens: int
    """Tokens that were sampled, or trained on."""
    seconds: float
    """Summed over all processors."""
    processor: Literal["cores", "GPUs"]
    """The unit of `seconds`."""
    bytes: int
    """Size of the output."""
    rows: int | None
    """Rows of the output."""


@_documented
class ChangeOutput(TypedDict):
    """One field of a record that changed."""

    kind: Literal["config", "template", "input", "upstream", "code", "revision", "environment"]
    """What sort of thing changed; the guide on planning lists the kinds."""
    field: str
    """The field."""
    text: str
    """The change on one line."""
    old: NotRequired[object]
    """The value before; absent if there was none."""
    new: NotRequired[object]
    """The value now; absent if there is none."""
    place: NotRequired[str]
    """Where the spec gives the new value, as `file:line:column`."""


@_documented
class PlannedStage(TypedDict):
    """A node of a plan."""

    name: str
    """Name in the spec; in a sweep with the settings of its variant."""
    section: Literal["models", "problems", "stages", "publish"]
    """Section of the spec."""
    kind: str
    """Its kind."""
    key: str | None
    """Digest of its record; null while it waits for other stages."""
    status: Literal["hit", "run", "pending", "import"]
    """In the store, to run, waiting for a stage that must run first, or offered by an export or a cache."""
    reason: str
    """Why it has this status."""
    changes: list[ChangeOutput]
    """What changed since the last build, if it must run."""
    needs: list[str]
    """The nodes that it reads."""
    estimate: EstimateOutput | None
    """What it is expected to take; null for a hit."""


@_documented
class EstimateSum(TypedDict):
    """The estimates of all nodes together."""

    at_most: bool
    """Whether part of it is only a limit."""
    calls: int
    """Samples from a model."""
    tokens: int
    """Tokens that are sampled, or trained on."""
    bytes: int
    """Size of the outputs."""
    cores_seconds: float
    """Time of CPU stages, summed over cores."""
    GPUs_seconds: float
    """Time of GPU stages, summed over GPUs."""
    time_unknown: int
    """Number of nodes whose time is unknown."""


@_documented
class Sharing(TypedDict):
    """How the variants of a sweep share stages."""

    variants: int
    """Number of variants, seeds included."""
    stages: int
    """Most nodes that one variant has."""
    distinct: int
    """Number of different nodes in all variants."""
    shared: int
    """Number of nodes that all variants share."""


@_documented
class PlanOutput(TypedDict):
    """The result of `plan`."""

    stages: list[PlannedStage]
    """Every node, each after those that it reads."""
    counts: dict[str, int]
    """Status to number of nodes."""
    estimate: EstimateSum
    """All nodes that run or may have to."""
    sweep: NotRequired[Sharing]
    """Only with `--sweep`."""


@_documented
class ExplainOutput(TypedDict):
    """The result of `explain`: a node, and the record that it is compared with."""

    name: str
    """Name in the spec; in a sweep with the settings of its variant."""
    section: Literal["models", "problems", "stages", "publish"]
    """Section of the spec."""
    kind: str
    """Its kind."""
    key: str | None
    """Digest of its record; null while it waits for other stages."""
    status: Literal["hit", "run", "pending", "import"]
    """In the store, to run, waiting for a stage that must run first, or offered by an export or a cache."""
    reason: str
    """Why it has this status."""
    changes: list[ChangeOutput]
    """What differs from that record."""
    needs: list[str]
    """The nodes that it reads."""
    against: str | None
    """What the other record is; null if there is none."""
    against_key: str | None
    """Its key."""
    waits: list[str]
    """Nodes that must run first."""


@_documented
class LockChange(TypedDict):
    """An entry of the lock file that is new or has a new value."""

    name: str
    """What is locked."""
    old: str | None
    """The commit or digest before."""
    new: str
    """The commit or digest now."""


@_documented
class LockOutput(TypedDict):
    """The result of `lock`."""

    lock: str
    """Path of the lock file."""
    changes: list[LockChange]
    """What was written to it."""


@_documented
class BuiltStage(TypedDict):
    """A node of a build."""

    name: str
    """Name in the spec; in a sweep with the settings of its variant."""
    kind: str
    """Its kind."""
    outcome: Literal["ran", "hit", "import", "failed", "skipped"]
    """How it ended; `skipped` if a stage that it needs failed, or nothing needed it."""
    key: str | None
    """Digest of its record."""
    path: str | None
    """Folder of its output; null if its files are not in this store."""
    seconds: float
    """Wall time."""
    estimate: EstimateOutput | None
    """What the plan expected."""
    took: CostOutput | None
    """What it took; null unless it ran."""


@_documented
class VariantOutput(TypedDict):
    """A variant of a sweep."""

    settings: dict[str, object]
    """Axis to value."""
    baseline: bool
    """Whether the others are compared with it."""
    nodes: dict[str, str]
    """Name in the spec to the node that has these settings."""


@_documented
class BuildOutput(TypedDict):
    """The result of `build` and `publish`."""

    ok: bool
    """Whether no stage failed."""
    spec: str
    """Name of the spec."""
    seconds: float
    """Wall time."""
    counts: dict[str, int]
    """Outcome to number of nodes."""
    variants: list[VariantOutput]
    """Empty without `--sweep`."""
    stages: list[BuiltStage]
    """Every node."""
    failures: dict[str, str]
    """Failed node to cause."""
    logs: dict[str, str]
    """Failed node to the path of its log."""
    reports: dict[str, str]
    """Evaluate stage to the path of its `report.json`."""


@_documented
class HalvingRound(TypedDict):
    """A round of successive halving."""

    seeds: int
    """Number of seeds that the variants had."""
    kept: list[dict[str, object]]
    """Settings of the variants that continue, best first; the baseline is not listed."""
    dropped: list[dict[str, object]]
    """Settings of the others."""
    arm: str
    """The arm whose results decided."""


@_documented
class SweepOutput(TypedDict):
    """The result of `sweep`, and the content of `sweep.json`."""

    spec: str
    """Name of the spec."""
    sweep: str
    """Name of the sweep."""
    compared: str
    """The evaluate stage that is compared."""
    searches_run: int
    """Search stages that ran in this build."""
    searches_there: int
    """Search stages that were in the store or imported."""
    failures: dict[str, str]
    """Failed node to cause."""
    halving: list[HalvingRound]
    """Empty without halving."""
    rows: list[VariantRow]
    """A row for each variant and arm."""
    files: NotRequired[list[str]]
    """The files that were written; only with `--json`."""


@_documented
class OutputFile(TypedDict):
    """A file of a stage's output."""

    sha256: str
    """Digest of its content."""
    size: int
    """Bytes."""


@_documented
class ShowOutput(TypedDict):
    """The result of `show`."""

    stage: str
    """Name of the stage."""
    kind: str
    """Its kind."""
    key: str
    """Digest of its record."""
    path: str
    """Folder of the output."""
    files: dict[str, OutputFile]
    """Path below the folder to digest and size."""
    provenance: dict[str, object]
    """Versions, hardware, times and costs of the run that produced it."""


@_documented
class ShowLogOutput(TypedDict):
    """The result of `show --log`."""

    stage: str
    """Name of the stage."""
    log: str
    """Path of the log."""
    text: str
    """Its content."""


@_documented
class ShowTreeOutput(TypedDict):
    """The result of `show --tree`."""

    problem: dict[str, object]
    """The problem, with the columns of a problems table."""
    nodes: list[dict[str, object]]
    """The nodes in order of creation, with the fields of `core.trees.TreeNode`; `facts` is JSON text."""
    tokens: int
    """Tokens that were sampled for the tree."""
    iterations: int
    """Iterations of the search policy."""


@_documented
class ReplayOutput(TypedDict):
    """The result of `replay`."""

    ok: bool
    """Whether every tree was reproduced."""
    trees: int
    """Number of trees."""
    different: list[str]
    """Ids of the problems whose trees differ."""


@_documented
class VerifyOutput(TypedDict):
    """A line of `verify`, one for each row."""

    verdict: Literal["correct", "incorrect", "no_answer", "unparseable_gold", "timeout", "error"]
    """The outcome."""
    extracted: str
    """The answer as the response states it."""
    parsed: str
    """The answer as the verifier understood it."""
    gold: str
    """The known answer as the verifier understood it."""
    detail: str
    """More about an outcome that is neither correct nor incorrect."""


@_documented
class SamplesOutput(TypedDict):
    """The result of `samples`."""

    stage: str
    """Name of the evaluate stage."""
    files: list[str]
    """The logs that were written."""


@_documented
class HarnessOutput(TypedDict):
    """The result of `harness`."""

    stage: str
    """Name of the evaluate stage."""
    lm_eval: str
    """Version of lm-evaluation-harness."""
    folder: str
    """Folder of its task and logs."""
    arms: dict[str, ArmComparison]
    """Arm to both results."""


@_documented
class PullOutput(TypedDict):
    """The result of `pull`."""

    source: str
    """Where it came from, with the commit if there is one."""
    target: str
    """The folder."""
    artifacts: list[str]
    """Names of the artifacts."""
    files: list[str]
    """Paths below the folder."""
    size: int
    """Bytes of all files."""
    changed: bool
    """Whether anything was written."""


@_documented
class PushOutput(TypedDict):
    """The result of `push`."""

    results: int
    """Finished stages of the spec."""
    new_results: int
    """How many of them the other store did not have."""
    new_blobs: int
    """Files that were written."""
    bytes: int
    """Their size."""


@_documented
class ImportOutput(TypedDict):
    """The result of `import`."""

    results: int
    """Results in the export."""
    with_files: int
    """How many came with their files."""


@_documented
class FolderCount(TypedDict):
    """What stays and what goes in one folder of the store."""

    kept: int
    """Entries that stay."""
    collected: int
    """Entries that are not needed."""
    bytes: int
    """Size of those."""


@_documented
class GcOutput(TypedDict):
    """The result of `gc`."""

    deleted: bool
    """Whether `--delete` was given."""
    builds: int
    """Builds that were running."""
    bytes: int
    """Size of all that is not needed."""
    folders: dict[str, FolderCount]
    """Folder of the store to counts."""


@_documented
class FaultOutput(TypedDict):
    """A damaged or left-over file of the store."""

    kind: str
    """`blob`, `result`, `item`, `output`, `head`, or the folder of a left-over file."""
    path: str
    """The file."""
    cause: str
    """What is wrong with it."""
    healed: str
    """What `--repair` did; empty without it."""


@_documented
class FsckOutput(TypedDict):
    """The result of `fsck`."""

    ok: bool
    """Whether nothing is damaged, or all of it was repaired."""
    checked: dict[str, int]
    """Number of `blobs`, `results`, `outputs` and `items`, `bytes` of the blobs, and results `without_files`."""
    faults: list[FaultOutput]
    """Damaged files."""
    leftovers: list[FaultOutput]
    """Harmless files of killed processes."""


@_documented
class FindingOutput(TypedDict):
    """One thing that `doctor` checked."""

    name: str
    """What was checked."""
    level: Literal["ok", "warning", "problem"]
    """How serious it is."""
    text: str
    """What was found."""
    remedy: str
    """What to do about it, or empty."""
    source: str
    """Where a known incompatibility is documented, or empty."""


@_documented
class DoctorOutput(TypedDict):
    """The result of `doctor`."""

    ok: bool
    """Whether there is no problem."""
    findings: list[FindingOutput]
    """Everything that was checked."""
