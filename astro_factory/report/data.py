"""What is in the problem sets and the traces: counts, shares and distributions."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from astro_factory.core.artifacts import ArtifactType
from astro_factory.report.built import BuiltSpec, BuiltStage

BINS = 24


def data_of(spec: BuiltSpec) -> list[dict[str, object]]:
    """One entry for each set of problems, trees and traces."""
    makers = {
        ArtifactType.PROBLEMS: problem_facts,
        ArtifactType.TREES: tree_facts,
        ArtifactType.TRACES: trace_facts,
    }
    return [
        {"stage": stage.name, "kind": stage.node.kind, "makes": str(stage.node.output), **makers[stage.node.output](stage)}
        for stage in spec.of_type(*makers)
    ]


def problem_facts(stage: BuiltStage) -> dict[str, object]:
    columns = stage.table(["question", "level", "verifier"]).to_pydict()
    questions = columns["question"]
    return {
        "rows": len(questions),
        "duplicates": len(questions) - len(set(questions)),
        "counts": {"level": _counts(columns["level"]), "verifier": _counts(columns["verifier"])},
        "histograms": {"question length, characters": histogram(list(map(len, questions)))},
    }


def tree_facts(stage: BuiltStage) -> dict[str, object]:
    import pyarrow.compute as pc

    table = stage.table(["nodes", "tokens"])
    statistics = stage.json("statistics.json")
    sizes = pc.list_value_length(table.column("nodes")).to_pylist()
    return {
        "rows": table.num_rows,
        "figures": statistics,
        "counts": {},
        "histograms": {
            "nodes in a tree": histogram(sizes),
            "sampled tokens of a tree": histogram(table.column("tokens").to_pylist()),
        },
    }


def trace_facts(stage: BuiltStage) -> dict[str, object]:
    import pyarrow.compute as pc

    table = stage.table(["problem_id", "messages", "num_backtracks", "num_wrong"])
    texts = [messages[-1]["content"] for messages in table.column("messages").to_pylist()]
    per_problem = Counter(table.column("problem_id").to_pylist())
    backtracks = table.column("num_backtracks").to_pylist()
    return {
        "rows": table.num_rows,
        "duplicates": len(texts) - len(set(texts)),
        "figures": {
            "problems": len(per_problem),
            "mean backtracks": round(pc.mean(table.column("num_backtracks")).as_py() or 0, 3),
            "mean characters": round(sum(map(len, texts)) / max(len(texts), 1), 1),
        },
        "counts": {
            "backtracks": _counts(backtracks, by_value=True),
            "wrong branches": _counts(table.column("num_wrong").to_pylist(), by_value=True),
            "traces of a problem": _counts(per_problem.values(), by_value=True),
        },
        "histograms": {"length, characters": histogram(list(map(len, texts)))},
    }


def _counts(values: Iterable[object], by_value: bool = False, most: int = 30) -> list[tuple[str, int]]:
    counts = Counter(values)
    ordered = sorted(counts.items(), key=lambda item: item[0] if by_value else (-item[1], str(item[0])))
    return [(str(name) if name != "" else "(none)", count) for name, count in ordered[:most]]


def histogram(values: Sequence[float], bins: int = BINS) -> dict[str, object]:
    """Edges and counts of bins of equal width, whole numbers wide where the values are whole."""
    if not values:
        return {"edges": [], "counts": []}
    low, high = min(values), max(values)
    whole = all(isinstance(value, int) for value in values)
    width = max((high - low + 1) / bins, 1) if whole else (high - low) / bins or 1
    if whole:
        width = -(-int(high - low + 1) // bins)
    count = int((high - low) // width) + 1
    counts = [0] * count
    for value in values:
        counts[min(int((value - low) // width), count - 1)] += 1
    return {"edges": [low + index * width for index in range(count + 1)], "counts": counts}


def compact(value: object) -> str:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
