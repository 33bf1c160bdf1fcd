"""What the commands that inspect and compare print with `--json`; docs/reference/json.md shows it."""

from typing import Literal

from typing_extensions import TypedDict

from astro_factory.cli.json_output import ChangeOutput, documented
from astro_factory.evaluation.harness import ArmComparison


@documented
class ExplainErrorOutput(TypedDict):
    """The result of `explain-error`."""

    code: str
    """The code."""
    text: str
    """What it means, with an example."""


@documented
class EntryDifferenceOutput(TypedDict):
    """An entry whose result is not the same under both specs."""

    name: str
    """Name in the specs."""
    kind: str
    """Its kind."""
    status: Literal["changed", "moved", "only in the first", "only in the second"]
    """`changed` if it differs itself, `moved` if only what it reads differs."""
    changes: list[ChangeOutput]
    """What differs, from the first spec to the second."""
    inputs: list[str]
    """What it reads that differs."""


@documented
class DiffOutput(TypedDict):
    """The result of `diff`."""

    entries: list[EntryDifferenceOutput]
    """The entries that differ."""
    equal: int
    """Number of entries that are equal in both specs."""


@documented
class ListEntry(TypedDict):
    """Something that a spec can name."""

    name: str
    """How a spec writes it; `section: kind` for the kinds of stages."""
    about: str
    """One sentence about it."""


@documented
class ListOutput(TypedDict):
    """The result of `stages`, `templates` and `presets`."""

    entries: list[ListEntry]
    """Everything there is."""


@documented
class OutputFile(TypedDict):
    """A file of a stage's output."""

    sha256: str
    """Digest of its content."""
    size: int
    """Bytes."""


@documented
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
    summary: dict[str, object]
    """Figures that depend on the type of the output: counts, means, parameters."""
    files: dict[str, OutputFile]
    """Path below the folder to digest and size."""
    provenance: dict[str, object]
    """Versions, hardware, times and costs of the run that produced it."""


@documented
class ShowLogOutput(TypedDict):
    """The result of `show --log`."""

    stage: str
    """Name of the stage."""
    log: str
    """Path of the log."""
    text: str
    """Its content."""


@documented
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


@documented
class ShowRowsOutput(TypedDict):
    """The result of `show --filter`, and of `show --tree` without an id."""

    stage: str
    """Name of the stage."""
    rows: list[dict[str, object]]
    """The rows that meet the filter, with the keys that a filter can name; `row` is the place in the table."""


@documented
class ShowProblemOutput(TypedDict):
    """The result of `show --problem`."""

    stage: str
    """Name of the stage."""
    problem: str
    """Id of the problem."""
    rows: list[dict[str, object]]
    """Its rows, as with `--filter`."""


@documented
class ShowSampleOutput(TypedDict):
    """The result of `show --sample`."""

    stage: str
    """Name of the stage."""
    row: dict[str, object]
    """The row, as with `--filter`."""
    content: dict[str, object]
    """All columns of its table."""


@documented
class StagePreview(TypedDict):
    """The first prompt or text of a stage."""

    stage: str
    """Name of the stage."""
    kind: str
    """Its kind."""
    what: str
    """What is shown, such as `first prompt`."""
    messages: list[dict[str, str]]
    """The conversation: `role` and `content`."""
    text: str
    """The text that the model sees or, without a tokenizer, the messages."""
    prompt_ids: list[int] | None
    """Token ids of the text; null without a tokenizer."""
    mask: list[int] | None
    """For each id, 1 if training learns it, else 0; null for prompts."""
    notes: list[str]
    """What was missing, and what is shown in its place."""


@documented
class PreviewOutput(TypedDict):
    """The result of `preview`."""

    stages: list[StagePreview]
    """In the order of the spec."""


@documented
class ReportOutput(TypedDict):
    """The result of `report`."""

    path: str
    """The HTML file."""
    bytes: int
    """Its size."""
    stages: list[str]
    """The stages that it shows."""
    notes: list[str]
    """What was left out, and why."""


@documented
class ReplayOutput(TypedDict):
    """The result of `replay`."""

    ok: bool
    """Whether every tree was reproduced."""
    trees: int
    """Number of trees."""
    different: list[str]
    """Ids of the problems whose trees differ."""


@documented
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


@documented
class SamplesOutput(TypedDict):
    """The result of `samples`."""

    stage: str
    """Name of the evaluate stage."""
    files: list[str]
    """The logs that were written."""


@documented
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


@documented
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


@documented
class DoctorOutput(TypedDict):
    """The result of `doctor`."""

    ok: bool
    """Whether there is no problem."""
    findings: list[FindingOutput]
    """Everything that was checked."""
