"""What is in the problem sets and the traces: counts, shares and distributions."""

from collections import Counter
from collections.abc import Iterable, Sequence

from astro_factory.core.artifacts import ArtifactType
from astro_factory.report.built import BuiltSpec, BuiltStage, Section

BINS = 24


def data_of(spec: BuiltSpec) -> list[Section]:
    """One entry for each set of problems, trees and traces."""
    makers = {
        ArtifactType.PROBLEMS: problem_facts,
        ArtifactType.TREES: tree_facts,
        ArtifactType.TRACES: trace_facts,
    }
    return [
        {
            "stage": stage.name,
            "kind": stage.node.kind,
            "makes": str(stage.node.output),
            **makers[stage.node.output](stage),
        }
        for stage in spec.of_type(*makers)
    ]


def problem_facts(stage: BuiltStage) -> Section:
    columns = stage.table(["question", "answer", "level", "verifier"]).to_pydict()
    questions = columns["question"]
    return {
        "rows": len(questions),
        "duplicates": len(questions) - len(set(questions)),
        "counts": {"level": _by_count(columns["level"]), "verifier": _by_count(columns["verifier"])},
        "histograms": {
            f"{name} length, characters": histogram(list(map(len, columns[name]))) for name in ("question", "answer")
        },
    }


def tree_facts(stage: BuiltStage) -> Section:
    table = stage.table(["nodes", "tokens"])
    statistics = stage.json("statistics.json")
    sizes = [len(nodes) for nodes in table.column("nodes")]
    return {
        "rows": table.num_rows,
        "figures": statistics,
        "counts": {},
        "histograms": {
            "nodes in a tree": histogram(sizes),
            "sampled tokens of a tree": histogram(table.column("tokens").to_pylist()),
        },
    }


def trace_facts(stage: BuiltStage) -> Section:
    table = stage.table(["problem_id", "messages", "num_backtracks", "num_wrong"])
    texts = [messages[-1]["content"] for messages in table.column("messages").to_pylist()]
    per_problem = Counter(table.column("problem_id").to_pylist())
    backtracks = table.column("num_backtracks").to_pylist()
    return {
        "rows": table.num_rows,
        "duplicates": len(texts) - len(set(texts)),
        "figures": {
            "problems": len(per_problem),
            "mean backtracks": round(sum(backtracks) / max(len(backtracks), 1), 3),
            "mean characters": round(sum(map(len, texts)) / max(len(texts), 1), 1),
        },
        "counts": {
            "backtracks": _by_value(backtracks),
            "wrong branches": _by_value(table.column("num_wrong").to_pylist()),
            "traces of a problem": _by_value(per_problem.values()),
        },
        "histograms": {"length, characters": histogram(list(map(len, texts)))},
    }


def _by_count(values: Iterable[str], most: int = 30) -> list[tuple[str, int]]:
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    return [(name or "(none)", count) for name, count in counts[:most]]


def _by_value(values: Iterable[int], most: int = 30) -> list[tuple[str, int]]:
    return [(str(value), count) for value, count in sorted(Counter(values).items())[:most]]


def histogram(values: Sequence[float], bins: int = BINS) -> Section:
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
