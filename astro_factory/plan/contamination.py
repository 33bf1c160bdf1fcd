"""Where an evaluation may measure what its models have read: suites that an arm trains on, and suites that are older
than the end of the data that a base from the Hub was trained on.

It looks at the spec only. The problem kind `decontaminate` compares questions by their words. Kinds are known by their
names, so that `check` imports only those that a spec uses.
"""

from collections.abc import Iterator, Set
from itertools import product
from typing import Any

from astro_factory.core.errors import Diagnostic
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.stages.problems.presets import PRESETS
from astro_factory.verifiers.splits import BUCKETS

_READ_UNTIL = {
    "meta-llama/Meta-Llama-3-8B": "2023-03",
    "meta-llama/Meta-Llama-3-70B": "2023-12",
    "meta-llama/Llama-3.1-": "2023-12",
    "meta-llama/Llama-3.2-": "2023-12",
    "meta-llama/Llama-3.3-": "2023-12",
    "google/gemma-3-": "2024-08",
    "microsoft/phi-4": "2024-06",
}
"""Beginning of a repository's name to the month until which its model card says that the training data goes."""
_PUBLISHED = {
    "cais/mmlu": "2020-09",
    "allenai/ai2_arc": "2018-03",
    "openai/gsm8k": "2021-10",
    "ChilleD/SVAMP": "2021-03",
    "DigitalLearningGmbH/MATH-lighteval": "2021-03",
    "HuggingFaceH4/MATH-500": "2021-03",
    "math-ai/amc23": "2023-11",
    "Idavidrein/gpqa": "2023-11",
    "HuggingFaceH4/aime_2024": "2024-02",
    "math-ai/aime25": "2025-02",
}
"""Repository to the month in which its problems became public."""


def contamination(graph: Graph) -> list[Diagnostic]:
    """W108 and W109 for the evaluations that a build of the graph runs."""
    wanted = graph.wanted()
    reports = [node for name, node in graph.nodes.items() if name in wanted and node.kind == "evaluate"]
    return [warning for report in reports for warning in (*_trained_on(graph, report), *_older(graph, report))]


def _trained_on(graph: Graph, report: GraphNode) -> Iterator[Diagnostic]:
    """W109: problems of the suite that some arm trains on."""
    config: Any = report.config
    for measured in config.suite.problems:
        suite = _sources(graph, {measured})
        arms = set(config.arms)
        trained = _sources(graph, arms, compared_with=measured) + _practised(graph, arms)
        for ours, theirs in product(suite, trained):
            if _share_rows(graph.nodes[ours], graph.nodes[theirs]):
                cause = f"'{report.name}' measures '{measured}', and an arm trains on problems of it ('{theirs}')"
                yield Diagnostic("W109", cause, _remedy(graph.nodes[ours], graph.nodes[theirs]), report.place)
                break


def _remedy(measured: GraphNode, trained: GraphNode) -> str:
    drawn = _drawn(measured)
    if not drawn:
        return "divide the problems with `share`, or put `decontaminate` before training"
    if passed := sorted({size for _, size, _ in drawn & _passed(trained)}):
        sizes = " and ".join(map(str, passed))
        return (
            f"add {sizes} to its `numbers`: practice leaves out states that could be test puzzles of sizes it practises"
        )
    return "give generated problems different splits, or different `buckets` of the training split"


def _older(graph: Graph, report: GraphNode) -> Iterator[Diagnostic]:
    """W108: problems that were public before the training data of a base ends, one warning for each base."""
    config: Any = report.config
    dates = {name: date for name in config.suite.problems if (date := _published(graph, name))}
    for name in sorted(_upstream(graph, set(config.arms))):
        node = graph.nodes[name]
        if (node.section, node.kind) != ("models", "hub"):
            continue
        model: Any = node.config
        until = next((month for start, month in _READ_UNTIL.items() if model.repo.startswith(start)), None)
        seen = [f"{problems} ({date})" for problems, date in dates.items() if until is None or date <= until]
        if seen:
            ends = f"its training data goes to {until}" if until else "it is not known where its training data ends"
            cause = f"'{name}' ({model.repo}) may have seen {', '.join(seen)}: {ends}"
            remedy = "compare arms with each other, not with models of another base, or add newer problems"
            yield Diagnostic("W108", cause, remedy, report.place)


def _published(graph: Graph, problems: str) -> str | None:
    """The latest month in which known sources of a problem set became public; None if a source is not known."""
    dates = [_month(graph.nodes[name]) for name in _sources(graph, {problems})]
    known = [date for date in dates if date]
    return max(known) if known and len(known) == len(dates) else None


def _month(node: GraphNode) -> str | None:
    config: Any = node.config
    if node.kind == "file" and config.preset:
        return _PUBLISHED.get(PRESETS[config.preset].repo)
    return _PUBLISHED.get(config.repo) if node.kind == "hub" else None


def _share_rows(one: GraphNode, other: GraphNode) -> bool:
    """Whether two sources have problems in common: the same entry, the same rows in overlapping shares, or puzzles of
    the same size and bucket."""
    if one.name == other.name:
        return True
    if (drawn := _drawn(one)) and (others_drawn := _drawn(other)):
        return bool(drawn & (others_drawn | _passed(other)))
    rows, (low, high) = _rows(one)
    others, (start, end) = _rows(other)
    return rows == others and max(low, start) < min(high, end)


def _practised(graph: Graph, arms: Set[str]) -> list[str]:
    """The stages upstream that write documents about puzzles of their own."""
    return [name for name in sorted(_upstream(graph, arms)) if graph.nodes[name].kind == "practice"]


def _drawn(node: GraphNode) -> set[tuple[str, int, int]]:
    """Domain, size and bucket of the puzzles that a node may draw; empty for a node that generates none."""
    config: Any = node.config
    if node.kind not in ("countdown", "puzzles", "practice"):
        return set()
    domain = getattr(config, "domain", "countdown")
    sizes = config.numbers if domain == "countdown" else config.sizes
    split = config.split if node.section == "problems" else "train"
    buckets = config.buckets or BUCKETS[split]
    return {(domain, size, bucket) for size in sizes for bucket in buckets}


def _passed(node: GraphNode) -> set[tuple[str, int, int]]:
    """What the states of larger puzzles in practice documents may be, of the sizes that it does not practise itself."""
    config: Any = node.config
    if node.kind != "practice" or config.domain != "countdown":
        return set()
    sizes = set(config.numbers)
    every = [bucket for buckets in BUCKETS.values() for bucket in buckets]
    return {("countdown", size, bucket) for size in set(range(2, max(sizes))) - sizes for bucket in every}


def _rows(node: GraphNode) -> tuple[tuple[str, ...], tuple[float, float]]:
    """Where the rows of a source come from, and the share of them that it takes."""
    config: Any = node.config
    if node.kind == "hub":
        return (config.repo, config.revision, config.config, config.split), config.share
    if node.kind == "file":
        return (node.files[config.path],), config.share
    return (node.name,), (0.0, 1.0)


def _sources(graph: Graph, names: Set[str], compared_with: str = "") -> list[str]:
    """The problem sets upstream that read none themselves, without those that only `decontaminate` reads.

    Above a `decontaminate` that compares with `compared_with` nothing is looked for: no problem of it is left.
    """
    found = [graph.nodes[name] for name in sorted(_upstream(graph, names, compared_with))]
    return [node.name for node in found if node.section == "problems" and not _problems_read(graph, node)]


def _problems_read(graph: Graph, node: GraphNode) -> list[str]:
    return [name for name in node.references if graph.nodes[name].section == "problems"]


def _upstream(graph: Graph, names: Set[str], compared_with: str = "") -> set[str]:
    """The named entries and what their content comes from."""
    found, pending = set[str](), list(names)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        config: Any = graph.nodes[name].config
        if graph.nodes[name].kind == "decontaminate":
            if compared_with in config.against:
                continue
            pending.append(config.problems)
        else:
            pending += graph.nodes[name].references
        found.add(name)
    return found
