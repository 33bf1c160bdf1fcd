"""The files that a published spec reads: templates and data travel with it, so that a stranger can rebuild it.

Everything is beside `spec.yaml`, where the compiler looks: templates below `templates/`, data in `files/`, and Python
modules, of those beside the publisher's spec, in `code/`. A data file that may not be copied, or is too large, is named
with its digest in `files/absent.json` and on the card.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import BaseModel

from astro_factory.core.canonical import path_digest
from astro_factory.core.config import TemplateSource
from astro_factory.core.file_names import names_fault
from astro_factory.core.graph import Graph, GraphNode

ABSENT = "files/absent.json"
MAX_BYTES = 64 << 20
"""Size from which a file is not copied."""


@dataclass
class PublishedFiles:
    """What the entries behind a publication read."""

    templates: dict[str, str] = field(default_factory=dict)
    """Path below `templates/` to text."""
    given: dict[str, tuple[Path, GraphNode]] = field(default_factory=dict)
    """Path in the spec to the file on this machine and the entry that reads it."""
    code: dict[str, Path] = field(default_factory=dict)
    """Path below `code/` to the file on this machine."""
    names: dict[str, str] = field(init=False)
    """Path in the spec to the path in the published spec, relative to it."""

    def __post_init__(self) -> None:
        self.names = {}
        for text, (path, _) in sorted(self.given.items(), key=lambda item: item[0]):
            name = f"files/{path.name}"
            taken = name in self.names.values() or names_fault((name,)) is not None
            self.names[text] = f"files/{path_digest(path)[:12]}{path.suffix}" if taken else name

    @classmethod
    def of(cls, graph: Graph, node: GraphNode) -> "PublishedFiles":
        """What the entries behind a publish stage read."""
        nodes = [graph.nodes[name] for name in graph.closure({node.name})]
        templates = {name: text for source in _sources([n.config for n in nodes]) for name, text in source.items()}
        code = {name: Path(path) for n in nodes for found in n.code for name, path in found.sources.items()}
        return cls(templates, {text: (Path(path), n) for n in nodes for text, path in n.files.items()}, code)

    def write(self, folder: Path) -> None:
        """Copy everything below `folder`, the one of `spec.yaml`."""
        for name, text in self.templates.items():
            if names_fault((f"templates/{name}",)) is None:
                _write(folder / "templates" / name, text)
        for name, path in self.code.items():
            if names_fault((f"code/{name}",)) is None:
                _copy(path, folder / "code" / name)
        absent: dict[str, dict[str, str]] = {}
        for text, (path, node) in self.given.items():
            if reason := _kept_back(path, node):
                absent[self.names[text]] = {"sha256": path_digest(path), "reason": reason}
                continue
            _copy(path, folder / self.names[text])
        if absent:
            _write(folder / ABSENT, json.dumps(absent, indent=1, sort_keys=True) + "\n")

    def template(self, value: str) -> str:
        """A template as the published spec names it: an absolute path becomes the path below `templates/`."""
        if not PurePosixPath(value).is_absolute():
            return value
        return next((name for name in self.templates if value.endswith(f"/{name}")), PurePosixPath(value).name)


def _kept_back(path: Path, node: GraphNode) -> str:
    """Why a file is not copied; empty if it is."""
    if not getattr(node.config, "redistribute", True):
        return "it may not be redistributed"
    if path.is_dir():
        return "it is a folder"
    return f"it is larger than {MAX_BYTES >> 20} MiB" if path.stat().st_size > MAX_BYTES else ""


def _sources(value: object) -> Iterator[dict[str, str]]:
    """The sources of every template in a config."""
    if isinstance(value, TemplateSource):
        yield value.sources
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _sources(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _sources(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _sources(item)


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
