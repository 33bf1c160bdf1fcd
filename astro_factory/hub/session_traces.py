"""Some chains of thought as sessions that the Hub's trace viewer opens, one file for each.

The format is the Hub's Session Trace Simple Format (https://huggingface.co/docs/hub/session-traces-format): a line that
names the session, then one line for each message.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.tables import read_batches

SESSIONS = 5
"""Chains of thought of each table that get a file."""


def session_files(artifacts: Mapping[str, Path]) -> dict[str, bytes]:
    """`sessions/<artifact>-<number>.jsonl` of the first traces of every artifact that has traces; folders by name."""
    return {
        f"sessions/{name}-{number}.jsonl": text.encode()
        for name, folder in artifacts.items()
        if (table := folder / TABLE_FILES[ArtifactType.TRACES]).is_file()
        for number, text in enumerate(_sessions(name, table))
    }


def _sessions(name: str, table: Path) -> list[str]:
    batch = next(iter(read_batches(table, SESSIONS, ["problem_id", "messages"])), None)
    rows = batch.to_pylist()[:SESSIONS] if batch is not None else []
    return [_session(f"{name}-{number}", row["problem_id"], row["messages"]) for number, row in enumerate(rows)]


def _session(identity: str, problem: str, messages: list[dict[str, str]]) -> str:
    lines = [{"type": "session", "harness": "astro-factory", "id": identity, "name": problem}]
    lines += [{"type": "message", "message": {"role": m["role"], "content": m["content"]}} for m in messages]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
