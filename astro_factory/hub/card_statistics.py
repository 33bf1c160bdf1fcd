"""Statistics for cards (counts, lengths, backtracks), computed from the tables.

Columns are streamed in batches, so a table of trees need not fit into memory.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.tables import read_batches
from astro_factory.core.verdicts import Outcome

Row = Mapping[str, Any]
_BATCH = 500
_EXAMPLE_CHARACTERS = 3000


@dataclass(frozen=True)
class TableStatistics:
    """What a card shows about one table."""

    rows: int
    meaning: str
    """What a row is, such as "a chain-of-thought"."""
    facts: tuple[tuple[str, str], ...] = ()
    """(name, value) pairs."""
    backtracks: Mapping[int, int] = field(default_factory=dict)
    """Number of backtracks to number of traces; empty for other tables."""
    example: Mapping[str, str] | None = None
    """`prompt` and `response` of one row."""


def table_statistics(path: Path) -> TableStatistics:
    """The statistics of a Parquet table, by its file name; for an unknown table only the number of rows."""
    import pyarrow.parquet as pq

    known = {TABLE_FILES[kind]: count for kind, count in _COUNTS.items()}
    if path.name not in known:
        return TableStatistics(pq.ParquetFile(path).metadata.num_rows, f"a row of `{path.name}`")
    return known[path.name](path)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    present = pq.ParquetFile(path).schema_arrow.names
    for batch in read_batches(path, _BATCH, [name for name in columns if name in present]):
        yield from batch.to_pylist()


def _problems(path: Path) -> TableStatistics:
    levels: Counter[str] = Counter()
    first: Row | None = None
    for row in _rows(path, ["question", "answer", "level"]):
        levels[row["level"]] += 1
        first = first or row
    facts = [(f"level {level}", str(count)) for level, count in sorted(levels.items()) if level]
    example = {"prompt": first["question"], "response": first["answer"]} if first else None
    return TableStatistics(levels.total(), "a problem and its answer", tuple(facts), example=example)


def _dialogues(path: Path) -> TableStatistics:
    skills: Counter[str] = Counter()
    lengths: list[int] = []
    first: Row | None = None
    for row in _rows(path, ["messages", "skill"]):
        skills[row["skill"]] += 1
        lengths.append(_words(row["messages"]))
        first = first or row
    facts = [*_length_quantiles(lengths), *((f"skill {skill}", str(count)) for skill, count in sorted(skills.items()))]
    return TableStatistics(
        len(lengths), "a conversation that practises one skill", tuple(facts), example=_example(first)
    )


def _trees(path: Path) -> TableStatistics:
    solved = nodes = ends = correct_ends = tokens = count = 0
    for row in _rows(path, ["nodes", "tokens"]):
        terminals = [node for node in row["nodes"] if node["terminal"]]
        correct = sum(node["verdict"] == Outcome.CORRECT for node in terminals)
        count, nodes, tokens = count + 1, nodes + len(row["nodes"]), tokens + row["tokens"]
        ends, correct_ends, solved = ends + len(terminals), correct_ends + correct, solved + bool(correct)
    facts = (
        ("trees with a correct terminal", _share(solved, count)),
        ("nodes", str(nodes)),
        ("terminals", str(ends)),
        ("correct terminals", _share(correct_ends, ends)),
        ("sampled tokens", str(tokens)),
    )
    return TableStatistics(count, "a problem's search tree", facts)


def _traces(path: Path) -> TableStatistics:
    lengths: list[int] = []
    backtracks: Counter[int] = Counter()
    problems: set[str] = set()
    texts: set[bytes] = set()
    wrong = tokens = 0
    first: Row | None = None
    for row in _rows(path, ["messages", "num_backtracks", "num_wrong", "problem_id", "num_tokens"]):
        lengths.append(_words(row["messages"]))
        backtracks[row["num_backtracks"]] += 1
        problems.add(row["problem_id"])
        texts.add(_digest(row["messages"]))
        wrong, tokens = wrong + row.get("num_wrong", 0), tokens + row.get("num_tokens", 0)
        if first is None or (row["num_backtracks"] and not first["num_backtracks"]):
            first = row
    facts = [("problems", str(len(problems))), *_length_quantiles(lengths)]
    facts += [("incorrect terminals", str(wrong)), ("repeated texts", _share(len(lengths) - len(texts), len(lengths)))]
    facts += [("tokens in responses", str(tokens))] if tokens else []
    return TableStatistics(
        len(lengths), "a chain-of-thought", tuple(facts), dict(sorted(backtracks.items())), _example(first)
    )


def _digest(messages: Sequence[Row]) -> bytes:
    """A digest of the conversation, short enough to keep millions."""
    text = "\0".join(message["content"] for message in messages)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


_COUNTS: dict[ArtifactType, Callable[[Path], TableStatistics]] = {
    ArtifactType.PROBLEMS: _problems,
    ArtifactType.DIALOGUES: _dialogues,
    ArtifactType.TREES: _trees,
    ArtifactType.TRACES: _traces,
}


def _words(messages: Sequence[Row]) -> int:
    return len(messages[-1]["content"].split())


def _length_quantiles(lengths: Sequence[int]) -> list[tuple[str, str]]:
    """Quantiles of the lengths, in words, which need no tokenizer."""
    if not lengths:
        return []
    ordered, last = sorted(lengths), len(lengths) - 1
    at = [ordered[round(last * share)] for share in (0, 0.1, 0.5, 0.9, 1)]
    return [("words in a response: min / 10 % / median / 90 % / max", " / ".join(map(str, at)))]


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else "0"


def _example(row: Row | None) -> dict[str, str] | None:
    if row is None:
        return None
    *before, last = row["messages"]
    prompt = "\n\n".join(message["content"] for message in before)
    return {"prompt": _shortened(prompt), "response": _shortened(last["content"])}


def _shortened(text: str) -> str:
    return text if len(text) <= _EXAMPLE_CHARACTERS else text[:_EXAMPLE_CHARACTERS] + " [...]"
