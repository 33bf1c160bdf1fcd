"""What `check`, `plan`, `explain`, `build` and `sweep` print with `--json`; docs/reference/json.md shows it."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12 on

from astro_factory.cli.json_output_estimates import EstimateOutput, documented
from astro_factory.evaluation.variants import VariantRow


@documented
class Position(TypedDict):
    """A place in a file."""

    file: str
    """The file, or the `--set` option; empty if the error has no place."""
    line: int
    """From 1; 0 if there is none."""
    column: int
    """From 1; 0 if there is none."""


@documented
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


@documented
class CodeOutput(TypedDict):
    """Python code that a spec names and its stages execute."""

    role: Literal["verifier", "search policy", "engine"]
    """What it is."""
    target: str
    """`package.module:Name`."""
    file: str | None
    """Its source file; null if it is not there or has no source."""
    publication: str | None
    """Folder of the publication that names or holds it, whose code runs only with `--trust`; null for your own code."""


@documented
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
    code: NotRequired[list[CodeOutput]]
    """The code that a build executes; absent for a folder."""


@documented
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


@documented
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


@documented
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
    gpus: int | None
    """GPUs that it uses; null for a hit, and if its needs are not known."""
    peak_gpu_gb: float | None
    """Predicted peak on the fullest GPU, in 2^30 bytes, as all sizes here."""
    peak_gpu_parts_gb: dict[str, float]
    """The parts of that peak."""
    peak_host_gb: float | None
    """Predicted peak of main memory on the fullest node."""
    disk_gb: float | None
    """Checkpoints and output, at most."""
    hours: float | None
    """Wall time on the machine, at most."""
    assumed_problems: int | None
    """The number of problems that `hours` is for, if only the Hub knows it."""
    fits: bool | None
    """Whether the machine can run it."""
    remedy: str
    """The smallest change that makes it fit, or empty."""
    notes: list[str]
    """What the prediction says besides, such as how full the KV cache gets."""


@documented
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


@documented
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


@documented
class WallTimeOutput(TypedDict):
    """The expected wall time of a build on this machine, from the estimates of its nodes."""

    seconds: float
    """From the start to the end."""
    critical_path: list[str]
    """The nodes that read each other and take longest together."""
    critical_path_seconds: float
    """The time of these nodes: no number of processors makes the build faster."""
    parallelism: float
    """Nodes that run at the same time, on average."""
    time_unknown: int
    """Number of nodes whose time is unknown; they count as 0 seconds."""


@documented
class MovedOutput(TypedDict):
    """Stages that run again only because the version of their kind changed."""

    kind: str
    """The kind."""
    old: int
    """Its version when they were built."""
    new: int
    """Its version now."""
    stages: list[str]
    """Their names."""
    seconds: dict[str, float]
    """What remaking them takes, by `cores` or `GPUs`, summed over these."""
    time_unknown: int
    """Number of these stages whose time is unknown."""
    made_with: str
    """The version of astro-factory that made the earlier results and still finds them; empty if unknown."""


@documented
class ServerOutput(TypedDict):
    """Servers that have to run before a stage does."""

    stage: str
    """Name of the stage."""
    commands: list[str]
    """Commands for a shell that start them, on GPUs of their own."""


@documented
class PlanOutput(TypedDict):
    """The result of `plan`."""

    stages: list[PlannedStage]
    """Every node, each after those that it reads."""
    counts: dict[str, int]
    """Status to number of nodes."""
    estimate: EstimateSum
    """All nodes that run or may have to."""
    wall_time: WallTimeOutput | None
    """The whole plan; null if no time is known."""
    moved: list[MovedOutput]
    """Stages that an upgrade moved, by kind."""
    code: list[CodeOutput]
    """The code that the planned stages execute."""
    servers: list[ServerOutput]
    """Servers of the stages that run or may have to."""
    sweep: NotRequired[Sharing]
    """Only with `--sweep`."""


@documented
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


@documented
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


@documented
class VariantOutput(TypedDict):
    """A variant of a sweep."""

    settings: dict[str, object]
    """Axis to value."""
    baseline: bool
    """Whether the others are compared with it."""
    nodes: dict[str, str]
    """Name in the spec to the node that has these settings."""


@documented
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


@documented
class LaunchOutput(TypedDict):
    """The result of `launch` on one node."""

    ok: bool
    """Whether the stage is built."""
    node: int
    """Number of this node; 0 is the head."""
    status: Literal["ok", "failed", "interrupted"]
    """How it ended. A head that was interrupted prints nothing and ends with code 130."""
    text: str
    """What the head said at the end, on the other nodes; that the stage was built already, on the head."""
    build: BuildOutput | None
    """The result of the build; null on the other nodes, and if the stage was built already."""


@documented
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


@documented
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
