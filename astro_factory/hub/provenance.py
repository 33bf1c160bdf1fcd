"""The provenance that the builder passes with the artifacts: the spec and the record of every upstream stage."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class UpstreamStage(NamedTuple):
    """A row in a card's table of stages."""

    name: str
    kind: str
    key: str


@dataclass(frozen=True)
class Provenance:
    """The content of `spec.yaml` and `records/<key>.json`."""

    spec_name: str
    stages: tuple[UpstreamStage, ...]
    models: tuple[str, ...]
    """Upstream models from the Hub, as `org/name`."""
    datasets: tuple[str, ...]
    """Upstream problem sets from the Hub."""
    absent: tuple[str, ...] = ()
    """Files that the spec reads and the publication does not contain, each with its digest and the reason."""

    @classmethod
    def read(cls, folder: Path) -> "Provenance":
        import yaml

        spec = yaml.safe_load((folder / "spec.yaml").read_text(encoding="utf-8"))
        records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "records").glob("*.json"))]
        records.sort(key=lambda entry: (_ORDER.index(entry["record"]["section"]), entry["name"]))
        entries = [(e["record"]["section"], e["record"]["kind"], e["record"]["config"]) for e in records]
        stages = tuple(
            UpstreamStage(e["name"], f"{e['record']['section']}: {e['record']['kind']}", e["key"]) for e in records
        )
        kept_back = folder / "files/absent.json"
        listed = json.loads(kept_back.read_text(encoding="utf-8")) if kept_back.is_file() else {}
        absent = tuple(f"`astro/{name}` ({e['reason']}; SHA-256 `{e['sha256']}`)" for name, e in sorted(listed.items()))
        return cls(str(spec["name"]), stages, hub_repos("models", entries), hub_repos("problems", entries), absent)


_ORDER = ("models", "problems", "stages", "publish")


def hub_repos(section: str, entries: Iterable[tuple[str, str, Mapping[str, Any]]]) -> tuple[str, ...]:
    """The Hub repositories of a section's nodes, given as (section, kind, config); sorted."""
    return tuple(sorted({config["repo"] for s, kind, config in entries if s == section and kind == "hub"}))
