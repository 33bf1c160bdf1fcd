"""Records: the canonical description of one stage run. The key is the record's digest.

A cached build must equal an uncached one, so a record holds everything that an output can depend on: the kind and its
semantic version, the whole config except fields marked as not semantic, and the content of every input.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from astro_factory.core.annotations import alternatives, field_annotation, holds, item_of, unwrap
from astro_factory.core.canonical import digest, path_digest
from astro_factory.core.config import Config, InputFile, Reference, Rounding, beside_fields, recorded_value
from astro_factory.core.errors import UserError
from astro_factory.core.graph import GraphNode
from astro_factory.core.results import Record

SCHEME = 1
"""Version of the record format; a new version changes every key."""


def make_record(
    node: GraphNode,
    contents: Mapping[str, str | None],
    commits: Mapping[str, str],
    environment: Mapping[str, object] | None = None,
) -> Record:
    """The record of a node, given the content digest of every node that it reads (None: not known, for `explain`).

    `commits` resolves the Hub revisions that a config names by branch or tag, by node; `environment` is part of the
    record in a spec with `env: strict`.
    """
    described = _Inputs(node, contents).canonical(type(node.config), node.config)
    if node.name in commits:
        described["revision"] = commits[node.name]
    record = {"scheme": SCHEME, "section": node.section, "kind": node.kind, "version": node.version}
    if environment is not None:
        record["environment"] = dict(environment)
    return record | {"config": described}


def record_key(record: Record) -> str:
    return digest(record)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Replaces what a config names outside itself by its content."""

    node: GraphNode
    contents: Mapping[str, str | None]

    def canonical(self, annotation: Any, value: object) -> Any:
        """A config value as JSON: references by content, files by digest, without fields that are not semantic."""
        if isinstance(value, str):
            return self._text(annotation, value)
        if isinstance(value, BaseModel):
            beside = beside_fields(value) if isinstance(value, Config) else {}
            fields = {
                name: (inner, recorded_value(field, getattr(value, name)))
                for name, inner, field in _annotated_fields(type(value))
            }
            return beside | {
                name: self.canonical(inner, counted) for name, (inner, counted) in fields.items() if counted is not ...
            }
        if isinstance(value, dict):
            keys, items = _arguments(annotation, dict)
            pairs = {}
            for key, item in value.items():
                known, inner = self.canonical(keys, key), self.canonical(items, item)
                pairs[str(key)] = {"key": known, "value": inner} if isinstance(known, dict) else inner
            return pairs
        if isinstance(value, list | tuple):
            args = _arguments(annotation, list, tuple)
            return [self.canonical(item_of(args, index), item) for index, item in enumerate(value)]
        return value

    def _text(self, annotation: Any, value: str) -> Any:
        if not (holds(annotation, Reference) or holds(annotation, InputFile)):
            return value
        for option in alternatives(annotation):
            for marker in unwrap(option)[1]:
                if isinstance(marker, Reference):
                    content = {"content": self.contents[self.node.reads.get(value, value)]}
                    return {"name": value, **content} if marker.named else content
                if isinstance(marker, InputFile):
                    # the suffix decides how the file is read
                    return {"sha256": self._file(value), "suffix": "" if marker.folder else Path(value).suffix}
        return value

    def _file(self, path: str) -> str:
        """Raises `UserError` E101."""
        try:
            return path_digest(Path(self.node.files[path]))
        except OSError as error:
            cause = f"cannot read '{path}': {error.strerror or error}"
            raise UserError.of("E101", cause, "check the path", self.node.place) from None


@cache
def _annotated_fields(model: type[BaseModel]) -> list[tuple[str, Any, FieldInfo]]:
    """The name, the annotation and the definition of each field."""
    return [(name, field_annotation(model, name), field) for name, field in model.model_fields.items()]


@cache
def _rounding_paths(model: type[BaseModel]) -> list[tuple[str, ...]]:
    """The fields of a model, and of the models in them, that change outputs in the last bits only."""
    found: list[tuple[str, ...]] = []
    for name, annotation, _ in _annotated_fields(model):
        for option in alternatives(annotation):
            bare, markers = unwrap(option)
            if any(isinstance(marker, Rounding) for marker in markers):
                found.append((name,))
            elif isinstance(bare, type) and issubclass(bare, BaseModel):
                found += [(name, *path) for path in _rounding_paths(bare)]
    return found


def lineage(node: GraphNode, record: Record) -> str:
    """The digest of a record without the fields that change outputs in the last bits only.

    Empty if the kind has no such field. Runs of one lineage can continue each other's checkpoints.
    """
    paths = _rounding_paths(type(node.config))
    if not paths:
        return ""
    rest = deepcopy(record)
    for *above, last in paths:
        inside: Any = rest["config"]
        for name in above:
            inside = inside.get(name) if isinstance(inside, dict) else None
        if isinstance(inside, dict):
            inside.pop(last, None)
    return digest(rest)


@cache
def _arguments(annotation: Any, *kinds: type) -> tuple[Any, ...]:
    """The type arguments of the list or mapping among an annotation's alternatives."""
    for option in alternatives(annotation):
        bare, _ = unwrap(option)
        if get_origin(bare) in kinds and get_args(bare):
            return get_args(bare)
    return (Any, Any)
