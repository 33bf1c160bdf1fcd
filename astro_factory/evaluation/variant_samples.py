"""The samples of a sweep's variants, read from a build's output folders."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astro_factory.core.canonical import canonical_json
from astro_factory.core.graph import Graph
from astro_factory.core.tables import read_columns
from astro_factory.evaluation.variants import SAMPLE_COLUMNS, Repetition, VariantRuns


def built_variants(graph: Graph, build: Mapping[str, Any], stage: str) -> list[VariantRuns]:
    """The variants with their built repetitions; variants that differ only in seeds are one.

    Args:
        build: the build's summary; its `stages` name the output folder of each built stage.
        stage: the evaluation, by its name in the spec.
    """
    paths = {item["name"]: Path(item["path"]) for item in build["stages"] if item["path"]}
    baseline = next(variant.own for variant in graph.variants if variant.baseline)
    variants: dict[bytes, VariantRuns] = {}
    for variant in graph.variants:
        entry = VariantRuns(variant.own, variant.own == baseline)
        entry = variants.setdefault(canonical_json(variant.own), entry)
        folder = paths.get(variant.nodes[stage])
        if folder is not None:
            samples = read_columns(folder / "samples.parquet", SAMPLE_COLUMNS)
            tokens = _search_tokens(graph, variant.nodes, paths)
            entry.repetitions.append(Repetition(variant.seed, samples, tokens))
    return list(variants.values())


def _search_tokens(graph: Graph, nodes: Mapping[str, str], paths: Mapping[str, Path]) -> int | None:
    searches = [node for node in set(nodes.values()) if graph.nodes[node].kind == "search" and node in paths]
    if not searches:
        return None
    return sum(json.loads((paths[node] / "statistics.json").read_text(encoding="utf-8"))["tokens"] for node in searches)
