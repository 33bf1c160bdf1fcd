"""Records: the canonical description of one stage run. The key is the record's digest.

A cached build must equal an uncached one, so a record holds everything that an output can depend on: the kind and its
semantic version, the whole config except fields marked as not semantic, and the content of every input.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from astro_factory.core.annotations import alternatives, field_annotation, holds, item_of, unwrap
from astro_factory.core.canonical import digest, file_digest
from astro_factory.core.config import Config, InputFile, Later, NotSemantic, Reference, beside_fields, is_default
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


def path_digest(target: Path) -> str:
    """Digest of a file's bytes, or of the names and bytes of a folder's files. Raises `OSError`."""
    if target.is_dir():
        inside = sorted(path for path in target.rglob("*") if path.is_file())
        return digest({path.relative_to(target).as_posix(): file_digest(path) for path in inside})
    return file_digest(target)


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
            return beside | {
                name: self.canonical(inner, getattr(value, name))
                for name, inner, later in _semantic_fields(type(value))
                if later is None or not is_default(later, getattr(value, name))
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
def _semantic_fields(model: type[BaseModel]) -> list[tuple[str, Any, FieldInfo | None]]:
    """The semantic fields of a model: name, annotation and, if the field is marked `Later`, the field itself."""
    found = []
    for name, field in model.model_fields.items():
        annotation = field_annotation(model, name)
        marks = {type(marker) for marker in unwrap(annotation)[1]}
        if NotSemantic not in marks:
            found.append((name, annotation, field if Later in marks else None))
    return found


@cache
def _arguments(annotation: Any, *kinds: type) -> tuple[Any, ...]:
    """The type arguments of the list or mapping among an annotation's alternatives."""
    for option in alternatives(annotation):
        bare, _ = unwrap(option)
        if get_origin(bare) in kinds and get_args(bare):
            return get_args(bare)
    return (Any, Any)
