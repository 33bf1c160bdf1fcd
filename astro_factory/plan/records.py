"""Records: the canonical description of one stage run. The key is the record's digest.

A cached build must equal an uncached one, so a record holds everything an output can depend on: the kind and its
semantic version, the whole config but for its not-semantic fields, and the content of every input.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from astro_factory.core.annotations import alternatives, field_annotation, item_of, unwrap
from astro_factory.core.canonical import digest, file_digest
from astro_factory.core.config import InputFile, NotSemantic, Reference
from astro_factory.core.errors import UserError
from astro_factory.core.graph import Node

SCHEME = 1
"""Version of this description; moving it makes every key new."""


def make_record(node: Node, contents: Mapping[str, str], commits: Mapping[str, str]) -> dict[str, Any]:
    """The record of a node whose inputs' content digests are known.

    `commits` gives the commit of every Hub revision that the config names by branch.
    """
    files = {path: _digest_of(node, path) for path in node.files}
    config = _canonical(type(node.config), node.config, contents, files)
    if node.name in commits:
        config["revision"] = commits[node.name]
    return {"scheme": SCHEME, "section": node.section, "kind": node.kind, "version": node.version, "config": config}


def record_key(record: Mapping[str, Any]) -> str:
    return digest(record)


def _digest_of(node: Node, path: str) -> str:
    """Digest of an input file, or of a folder's files by their names. Raises `UserError` E101."""
    target = Path(node.files[path])
    try:
        if target.is_dir():
            inside = sorted(p for p in target.rglob("*") if p.is_file())
            return digest({p.relative_to(target).as_posix(): file_digest(p) for p in inside})
        return file_digest(target)
    except OSError as error:
        cause = f"cannot read '{path}': {error.strerror or error}"
        raise UserError.of("E101", cause, "check the path", node.place) from None


def _canonical(annotation: Any, value: Any, contents: Mapping[str, str], files: Mapping[str, str]) -> Any:
    """A config value as JSON: references by content, files by digest, not-semantic fields left out."""
    for option in alternatives(annotation):
        _, markers = unwrap(option)
        for marker in markers:
            if isinstance(marker, Reference) and isinstance(value, str):
                content = {"content": contents[value]}
                return {"name": value, **content} if marker.named else content
            if isinstance(marker, InputFile) and isinstance(value, str):
                # the ending tells how to read a file
                return {"sha256": files[value], "suffix": "" if marker.folder else Path(value).suffix}
    if isinstance(value, BaseModel):
        return {
            name: _canonical(inner, getattr(value, name), contents, files)
            for name in type(value).model_fields
            if not _not_semantic(inner := field_annotation(type(value), name))
        }
    if isinstance(value, dict):
        keys, items = _arguments(annotation, dict)
        pairs = {}
        for key, item in value.items():
            known, inner = _canonical(keys, key, contents, files), _canonical(items, item, contents, files)
            pairs[str(key)] = {"key": known, "value": inner} if isinstance(known, dict) else inner
        return pairs
    if isinstance(value, list | tuple):
        args = _arguments(annotation, list, tuple)
        return [_canonical(item_of(args, index), item, contents, files) for index, item in enumerate(value)]
    return value


def _arguments(annotation: Any, *kinds: type) -> tuple[Any, ...]:
    """The arguments of the list or mapping among an annotation's alternatives."""
    for option in alternatives(annotation):
        bare, _ = unwrap(option)
        if get_origin(bare) in kinds and get_args(bare):
            return get_args(bare)
    return (Any, Any)


def _not_semantic(annotation: Any) -> bool:
    return any(isinstance(marker, NotSemantic) for marker in unwrap(annotation)[1])
