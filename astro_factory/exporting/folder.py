"""The folder of an export: its files, and a README that lists every setting and every difference."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from astro_factory.core.tables import write_table
from astro_factory.exporting.source import PLACEHOLDER, Source
from astro_factory.exporting.translation import Translation

README = "README.md"
_ASSETS = Path(__file__).parent / "assets"
_ONCE = "the trainer orders the data and draws random numbers in its own way"


@dataclass
class ExportFolder:
    """An export in the making; a trainer's module fills it."""

    folder: Path
    """An empty folder; an absolute path."""
    trainer: str
    source: Source
    versions: str = ""
    """The version of the trainer that exports are checked with."""
    commands: list[str] = field(default_factory=list)
    """How to start the trainer, in this folder."""
    notes: list[str] = field(default_factory=list)
    """What else the user has to know or do, in sentences."""
    rows: int = 0
    """Rows of the dataset."""
    translation: Translation = field(init=False)

    def __post_init__(self) -> None:
        self.translation = Translation(self.source.settings)

    def file(self, name: str) -> Path:
        """The path of a file in the folder."""
        return self.folder / name

    def text(self, name: str, text: str) -> None:
        self.file(name).write_text(text, encoding="utf-8")

    def asset(self, name: str) -> None:
        """Copy a module that runs in the trainer's process."""
        self.text(name, (_ASSETS / f"{name}.txt").read_text(encoding="utf-8"))

    def table(self, name: str, rows: Iterable[Mapping[str, Any]], schema: Any) -> None:
        """Write the dataset."""
        self.rows = write_table(self.file(name), rows, schema)

    def finish(self) -> None:
        """Settle the settings that are left, and write the README."""
        if not self.source.has_model:
            model = self.source.settings.model
            self.notes.insert(
                0,
                f"The model '{model}' is not built yet. Build it, and link its folder (`astro-factory show "
                f"{self.source.spec}:{model} --path`) into this one as `{PLACEHOLDER}`.",
            )
        self.translation.differs("order", f"{_ONCE}; results are not equal bit by bit")
        self.translation.finish(self.trainer)
        self.text(README, self._readme())

    def as_json(self) -> dict[str, Any]:
        """The output of `export-training --json`."""
        return {
            "stage": self.source.stage,
            "trainer": self.trainer,
            "checked_with": self.versions,
            "folder": str(self.folder),
            "files": sorted(path.name for path in self.folder.iterdir()),
            "rows": self.rows,
            "commands": self.commands,
            "notes": self.notes,
            "differences": [asdict(difference) for difference in self.translation.differences],
        }

    def _readme(self) -> str:
        source, translation = self.source, self.translation
        lines = [
            f"# {source.stage} of {source.graph.name}, for {self.trainer}",
            "",
            f"`astro-factory export-training` wrote this folder from `{source.spec}`. Its exports are checked with "
            f"{self.versions}.",
            "",
            "```",
            *self.commands,
            "```",
            "",
            *(f"- {note}" for note in self.notes),
            "",
            "## Differences",
            "",
            "What the trainer does otherwise than the stage:",
            "",
            "| Setting | Value | Difference |",
            "|---|---|---|",
            *(f"| {d.setting} | {_shown(d.value)} | {d.text} |" for d in translation.differences),
            "",
            "## Settings",
            "",
            "| Setting | Value | In the config |",
            "|---|---|---|",
            *(f"| {w.setting} | {_shown(w.value)} | `{w.key}` |" for w in translation.written),
            "",
        ]
        return "\n".join(lines)


def _shown(value: Any) -> str:
    """A value in a Markdown table; empty for None."""
    return "" if value is None else f"`{value}`".replace("|", "\\|")
