"""Your own dialogues to train on, from a file: worked solutions, a warm-up, traces of another method.

{"messages": [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "2 + 3 = 5"}]}
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import NOT_SEMANTIC, FileField, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.dialogues import dialogue_schema
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.tables import write_table
from astro_factory.stages.problems.rows import Row
from astro_factory.stages.problems.table_files import SUFFIXES, read_rows

OUTPUT = ArtifactType.DIALOGUES
VERSION = 1
HEAVY = False

_FORMATS = [suffix for suffix in SUFFIXES if suffix not in (".csv", ".tsv")]
_ROLES = ("system", "user", "assistant")
_ROWS_NAMED = 10


class Config(StageConfig):
    kind: Literal["dialogues"]
    redistribute: Annotated[bool, NOT_SEMANTIC] = True
    """Whether a publication may contain a copy of the file. If not, its digest stands in, and the card says so."""
    path: FileField
    """The file, relative to the spec's folder: .jsonl, .json (a list) or .parquet. Each row has `messages`, the last of
    them from the assistant, and may have a `skill`, a name for what it teaches."""


def check(config: Config, files: Mapping[str, str]) -> list[Diagnostic]:
    """A file whose format is unknown."""
    if Path(config.path).suffix in _FORMATS:
        return []
    return [Diagnostic("E426", f"'{config.path}' has no known format", f"use a file ending in {', '.join(_FORMATS)}")]


def run(ctx: StageContext, config: Config) -> None:
    rows = list(read_rows(ctx.inputs[config.path], config.path, ctx.events.log))
    faults = list(_faults(rows, config.path))
    if faults or not rows:
        raise UserError(*(faults or [Diagnostic("E433", f"{config.path} holds no dialogues", "write one a line")]))
    count = write_table(ctx.out / TABLE_FILES[OUTPUT], _dialogues(rows), dialogue_schema())
    ctx.events.progress(count, count, "dialogues")


def _dialogues(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    for index, (_, values) in enumerate(rows):
        messages = [{"role": message["role"], "content": message["content"]} for message in values["messages"]]
        yield {"id": str(index), "skill": str(values.get("skill") or ""), "messages": messages}


def _faults(rows: Iterable[Row], source: str) -> Iterator[Diagnostic]:
    """The first rows that are not dialogues, and why."""
    found = 0
    for label, values in rows:
        if reason := _fault(values.get("messages")):
            yield Diagnostic("E433", f"{source}: {reason} in {label}", "write messages as {role, content}")
            found += 1
        if found == _ROWS_NAMED:
            return


def _fault(messages: Any) -> str:
    if not isinstance(messages, list) or len(messages) < 2:
        return "there are not at least two `messages`"
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return f"a message has no role ({', '.join(_ROLES)})"
        if not isinstance(message.get("content"), str) or not message["content"].strip():
            return "a message has no content"
    return "" if messages[-1]["role"] == "assistant" else "the last message is not the assistant's"
