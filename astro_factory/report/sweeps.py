"""The variants of a sweep beside its baseline: what `sweep` prints, as data."""

from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.variant_samples import built_variants
from astro_factory.evaluation.variants import compare
from astro_factory.report.built import BuiltSpec, Section


def sweep_of(spec: BuiltSpec) -> Section:
    """The comparison of the variants that are built; empty for a spec that is no sweep, or without a built baseline."""
    graph = spec.graph
    stage = _compared(spec) if graph.variants else None
    if stage is None:
        return {}
    config = graph.nodes[graph.variants[0].nodes[stage]].config
    assert isinstance(config, Comparison)
    build = {"stages": [{"name": name, "path": str(built.folder)} for name, built in spec.stages.items()]}
    variants = [variant for variant in built_variants(graph, build, stage) if variant.repetitions]
    if sum(variant.baseline for variant in variants) != 1:
        return {}
    rows = compare(variants, config.suite.metrics, config.suite.samples)
    return {"stage": stage, "rows": [dict(row) for row in rows]}


def _compared(spec: BuiltSpec) -> str | None:
    """The evaluation that the variants are compared by, by its name in the spec."""
    asked = getattr(spec.graph.sweep, "compare", None)
    kinds = {stage: spec.graph.nodes[node].kind for stage, node in spec.graph.variants[0].nodes.items()}
    found = [asked] if asked else [stage for stage, kind in kinds.items() if kind == "evaluate"]
    return found[0] if len(found) == 1 and kinds.get(found[0]) == "evaluate" else None
