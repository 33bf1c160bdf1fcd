"""Dialogues: conversations to train on that do not come from a search, such as practice documents."""

from typing import Any


def message_type() -> Any:
    """The `pyarrow` type of one message, `{role, content}`, as chat templates and TRL take it."""
    import pyarrow as pa

    return pa.struct([("role", pa.string()), ("content", pa.string())])


def dialogue_schema() -> Any:
    """The `pyarrow.Schema` of `dialogues.parquet`: an id, the practised skill, and the conversation."""
    import pyarrow as pa

    return pa.schema([("id", pa.string()), ("skill", pa.string()), ("messages", pa.list_(message_type()))])
