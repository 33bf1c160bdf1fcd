"""What the commands of stores and publications print with `--json`; docs/reference/json.md shows it."""

from typing import Any

from typing_extensions import TypedDict

from astro_factory.cli.json_output import documented


@documented
class InitOutput(TypedDict):
    """The result of `init`."""

    folder: str
    """The new workspace."""
    files: list[str]
    """The files in it."""


@documented
class ExportOutput(TypedDict):
    """The result of `export`."""

    file: str
    """The store export."""
    bytes: int
    """Its size."""


@documented
class TrainerDifference(TypedDict):
    """Something that another trainer does otherwise than the stage."""

    setting: str
    """The field of the stage, or a word such as `order` where no field names it."""
    value: Any
    """The field's value."""
    text: str
    """What happens instead."""


@documented
class ExportTrainingOutput(TypedDict):
    """The result of `export-training`."""

    stage: str
    """The stage."""
    trainer: str
    """The trainer."""
    checked_with: str
    """The version of the trainer that such configs were checked with."""
    folder: str
    """The export."""
    files: list[str]
    """The files in it."""
    rows: int
    """Rows of the dataset."""
    commands: list[str]
    """How to start the trainer, in that folder."""
    notes: list[str]
    """What else there is to do."""
    differences: list[TrainerDifference]
    """What the trainer does otherwise than the stage."""


@documented
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
    notice: str
    """What the publisher says if a newer publication replaces it; else empty."""


@documented
class WithdrawOutput(TypedDict):
    """The result of `withdraw`."""

    place: str
    """The publication."""
    status: str
    """`withdrawn`, or `restored` after `--undo`."""
    commit: str
    """Id of the commit that says so; of a folder, the digest of its files."""


@documented
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


@documented
class ImportOutput(TypedDict):
    """The result of `import`."""

    results: int
    """Results in the export."""
    with_files: int
    """How many came with their files."""


@documented
class FolderCount(TypedDict):
    """What stays and what goes in one folder of the store."""

    kept: int
    """Entries that stay."""
    collected: int
    """Entries that are not needed."""
    bytes: int
    """Size of those."""


@documented
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


@documented
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


@documented
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
