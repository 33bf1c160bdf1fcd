"""The provenance that the builder passes with the artifacts: the spec and the record of every upstream stage."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from astro_factory.core.canonical import digest


class UpstreamStage(NamedTuple):
    """A stage, model or problem set that a publication was made from."""

    name: str
    section: str
    kind: str
    key: str
    config: Mapping[str, Any]
    """Its config as recorded: inputs by content, see `plan.records`."""
    content: str
    """Digest of its output, by which the configs of others refer to it."""

    @property
    def inputs(self) -> frozenset[str]:
        """Contents that its config refers to."""
        return frozenset(_contents(self.config))


@dataclass(frozen=True)
class Provenance:
    """The content of `spec.yaml` and `records/<key>.json`."""

    spec_name: str
    stages: tuple[UpstreamStage, ...]
    absent: tuple[str, ...] = ()
    """Files that the spec reads and the publication does not contain, each with its digest and the reason."""

    @property
    def models(self) -> tuple[str, ...]:
        """Models from the Hub, as `org/name`."""
        return hub_repos("models", self._entries())

    @property
    def datasets(self) -> tuple[str, ...]:
        """Problem sets from the Hub."""
        return hub_repos("problems", self._entries())

    def _entries(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        return ((stage.section, stage.kind, stage.config) for stage in self.stages)

    def named(self, name: str) -> UpstreamStage | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    def behind(self, name: str) -> "Provenance":
        """What one artifact was made from, itself included: without the other arms of a report, for example."""
        start = self.named(name)
        if start is None:  # a sweep's variant has another name than its config says
            return self
        found, wanted = {start.key}, set(start.inputs)
        while more := {stage.key: stage for stage in self.stages if stage.content in wanted and stage.key not in found}:
            found |= more.keys()
            wanted |= {content for stage in more.values() for content in stage.inputs}
        return Provenance(self.spec_name, tuple(stage for stage in self.stages if stage.key in found), self.absent)

    def lineage(self, name: str) -> list[UpstreamStage]:
        """The models that became a model one after the other: the first one is where its training began."""
        by_content = {stage.content: stage for stage in self.stages}
        chain, stage = [], self.named(name)
        while stage is not None and stage not in chain:
            chain.append(stage)
            before = stage.config.get("model")
            stage = by_content.get(before.get("content", "")) if isinstance(before, Mapping) else None
        return chain[::-1]

    def name_of(self, value: object) -> str:
        """The name of the input that a recorded config refers to; empty for other values."""
        content = value.get("content") if isinstance(value, Mapping) else None
        return next((stage.name for stage in self.stages if content and stage.content == content), "")

    @classmethod
    def read(cls, folder: Path) -> "Provenance":
        import yaml

        spec = yaml.safe_load((folder / "spec.yaml").read_text(encoding="utf-8"))
        stages = [_stage(path) for path in sorted((folder / "records").glob("*.json"))]
        stages.sort(key=lambda stage: (_ORDER.index(stage.section), stage.name))
        kept_back = folder / "files/absent.json"
        listed = json.loads(kept_back.read_text(encoding="utf-8")) if kept_back.is_file() else {}
        absent = tuple(f"`astro/{name}` ({e['reason']}; SHA-256 `{e['sha256']}`)" for name, e in sorted(listed.items()))
        return cls(str(spec["name"]), tuple(stages), absent)


_ORDER = ("models", "problems", "stages", "publish")


def _stage(path: Path) -> UpstreamStage:
    entry = json.loads(path.read_text(encoding="utf-8"))
    record = entry["record"]
    content = digest({name: output["sha256"] for name, output in entry["outputs"].items()})
    return UpstreamStage(entry["name"], record["section"], record["kind"], entry["key"], record["config"], content)


def _contents(value: object) -> Iterator[str]:
    """The digest of every input in a recorded config."""
    if isinstance(value, Mapping):
        if isinstance(value.get("content"), str):
            yield value["content"]
        for item in value.values():
            yield from _contents(item)
    elif isinstance(value, list):
        for item in value:
            yield from _contents(item)


def hub_repos(section: str, entries: Iterable[tuple[str, str, Mapping[str, Any]]]) -> tuple[str, ...]:
    """The Hub repositories of a section's nodes, given as (section, kind, config); sorted."""
    return tuple(sorted({config["repo"] for s, kind, config in entries if s == section and kind == "hub"}))
