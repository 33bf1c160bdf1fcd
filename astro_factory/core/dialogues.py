"""Dialogues: conversations to train on, from a search (traces) or from elsewhere, such as practice documents."""

from pathlib import Path
from typing import Any

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType


def message_type() -> Any:
    """The `pyarrow` type of one message, `{role, content}`, as chat templates and TRL take it."""
    import pyarrow as pa

    return pa.struct([("role", pa.string()), ("content", pa.string())])


def dialogue_schema() -> Any:
    """The `pyarrow.Schema` of `dialogues.parquet`: an id, the practised skill, and the conversation."""
    import pyarrow as pa

    return pa.schema([("id", pa.string()), ("skill", pa.string()), ("messages", pa.list_(message_type()))])


def dialogue_row(name: str, skill: str, question: str, answer: str) -> dict[str, Any]:
    """A row of `dialogues.parquet`: one question with its answer."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": name, "skill": skill, "messages": messages}


def dialogue_table(folder: Path) -> Path:
    """The table of an artifact that holds traces or dialogues; both have a column `messages`."""
    for type in (ArtifactType.TRACES, ArtifactType.DIALOGUES):
        if (path := folder / TABLE_FILES[type]).is_file():
            return path
    raise FileNotFoundError(f"{folder} holds neither traces nor dialogues")
