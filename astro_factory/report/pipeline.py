"""The pipeline as data: every stage with its state, what it took, what it reads and what its spec entry sets."""

from collections.abc import Iterator, Mapping

from astro_factory.core.config import TemplateSource
from astro_factory.core.plans import PlannedNode, ToRun
from astro_factory.report.built import BuiltSpec, Section

_SPENT = ("seconds", "tokens", "calls", "rows", "started")


def pipeline(spec: BuiltSpec) -> list[Section]:
    """A row for each stage, after the stages that it reads; `layer` is its column in the drawing."""
    layers: dict[str, int] = {}
    rows: list[Section] = []
    for name, item in spec.planned.items():
        reads = [source for source in item.node.references if source in spec.planned]
        layers[name] = 1 + max((layers[source] for source in reads), default=-1)
        rows.append(
            {
                "name": name,
                "kind": item.node.kind,
                "section": item.node.section,
                "makes": str(item.node.output),
                "status": str(item.status),
                "reason": item.reason,
                "built": name in spec.stages,
                "key": item.key,
                "layer": layers[name],
                "reads": reads,
                "config": list(settings(item)),
                **_spent(item),
            }
        )
    return rows


def _spent(item: PlannedNode) -> Section:
    if item.result is None:
        return {}
    provenance = item.result.provenance
    found = {name: provenance[name] for name in _SPENT if provenance.get(name) is not None}
    sizes = [entry["size"] for entry in item.result.outputs.values()]
    return {**found, "bytes": sum(sizes), "versions": provenance.get("versions", {})}


def settings(item: PlannedNode) -> Iterator[tuple[str, str]]:
    """What the stage's configuration sets: dotted name and value. A template is shown by its path."""
    config = item.config if isinstance(item, ToRun) else item.node.config
    for name in type(config).model_fields:
        if name in config.model_fields_set and name != "kind":
            value = getattr(config, name)
            shown = value.entry if isinstance(value, TemplateSource) else config.model_dump(mode="json")[name]
            yield from leaves(name, shown)


def leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and "entry" in value and "sources" in value:
        yield name, str(value["entry"])
    elif isinstance(value, Mapping) and value:
        for key, inner in value.items():
            if inner is not None:
                yield from leaves(f"{name}.{key}", inner)
    elif isinstance(value, list):
        yield name, ", ".join(map(_text, value))
    elif value not in (None, ""):
        yield name, str(value)


def _text(value: object) -> str:
    return f"({', '.join(map(_text, value))})" if isinstance(value, list) else str(value)
