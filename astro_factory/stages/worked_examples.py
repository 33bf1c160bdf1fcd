"""Worked examples in front of a question: a primed prompt, the cheapest control of training on traces."""

from collections.abc import Collection
from pathlib import Path

from astro_factory.core.chat import Message
from astro_factory.core.dialogues import dialogue_table
from astro_factory.core.errors import UserError
from astro_factory.core.tables import read_batches

_BATCH = 256
"""Dialogues read at a time: the first few are enough."""


def worked_examples(folder: Path, count: int, asked: Collection[str]) -> list[Message]:
    """The messages of the first `count` dialogues in `folder` whose question is not asked.

    Of traces only those count that backtrack, since the examples show how to search.

    Raises:
        UserError: E808 if there are fewer.
    """
    messages: list[Message] = []
    rows = (row for batch in read_batches(dialogue_table(folder), _BATCH) for row in batch.to_pylist())
    for row in rows:
        dialogue = [Message(role=message["role"], content=message["content"]) for message in row["messages"]]
        if row.get("num_backtracks") != 0 and not any(message["content"] in asked for message in dialogue):
            messages += dialogue
            count -= 1
        if count == 0:
            return messages
    raise UserError.of(
        "E808",
        f"{count} more examples are needed: questions of the suite and traces without a backtrack do not count",
        "lower 'example_count', or name data with more traces that backtrack",
    )
