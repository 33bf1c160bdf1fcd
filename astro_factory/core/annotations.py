"""Walks configuration models along their annotations: fills in definitions, finds references."""

from collections.abc import Callable, Iterator
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from astro_factory.core.config import Definition
from astro_factory.core.registry import OpenUnion

Key = str | int
KeyPath = tuple[Key, ...]
"""Keys and list indices from the top of a value, as in `("stages", "trees", "policy")`."""


@cache
def field_annotation(model: type[BaseModel], name: str) -> Any:
    """A field's annotation with the markers that Pydantic moved into its metadata."""
    field = model.model_fields[name]
    annotation = field.annotation
    for marker in field.metadata:
        annotation = Annotated[annotation, marker]
    return annotation


@cache
def unwrap(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The bare annotation and its markers."""
    markers: tuple[Any, ...] = ()
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        markers += tuple(more)
    return annotation, markers


@cache
def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the annotation itself."""
    bare, markers = unwrap(annotation)
    if get_origin(bare) in (Union, UnionType):
        members = [Annotated[arg, *markers] if markers else arg for arg in get_args(bare) if arg is not type(None)]
        return tuple(deeper for member in members for deeper in alternatives(member))
    return (annotation,)


def item_of(args: tuple[Any, ...], index: Key) -> Any:
    """The annotation of one item, from the arguments of `list[X]`, `tuple[X, ...]` or `tuple[X, Y]`."""
    return args[index] if isinstance(index, int) and index < len(args) and args[index] is not ... else args[0]


@cache
def holds(annotation: Any, marker_type: type) -> bool:
    """Whether a value of this annotation can contain a marker of the type; if not, there is no need to walk it."""
    for option in alternatives(annotation):
        bare, markers = unwrap(option)
        if any(isinstance(marker, (marker_type, OpenUnion)) for marker in markers):
            return True  # what other packages add to an open union is not known here
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            if any(holds(field_annotation(bare, name), marker_type) for name in bare.model_fields):
                return True
        elif any(holds(arg, marker_type) for arg in get_args(bare) if arg is not ...):
            return True
    return False


def _members(annotation: Any, raw: Any) -> tuple[Any, ...]:
    """The alternatives of an annotation; of an open union also the kind of another package that `raw` names."""
    options = alternatives(annotation)
    unions = {marker for option in options for marker in unwrap(option)[1] if isinstance(marker, OpenUnion)}
    added = [member for union in unions if (member := union.member(raw))]
    return (*options, *added)


def substitute(annotation: Any, raw: Any, path: KeyPath, resolve: Callable[[Definition, str, KeyPath], Any]) -> Any:
    """`raw` with every name in a `Definition` field replaced by what `resolve` returns for it."""
    if not holds(annotation, Definition):
        return raw
    for option in _members(annotation, raw):
        bare, markers = unwrap(option)
        definition = next((marker for marker in markers if isinstance(marker, Definition)), None)
        if definition and isinstance(raw, str):
            return resolve(definition, raw, path)
        origin, args = get_origin(bare), get_args(bare)
        if origin in (list, tuple) and isinstance(raw, list) and args:
            return [substitute(item_of(args, i), item, (*path, i), resolve) for i, item in enumerate(raw)]
        if origin is dict and isinstance(raw, dict):
            return {key: substitute(args[1], item, (*path, key), resolve) for key, item in raw.items()}
        if isinstance(bare, type) and issubclass(bare, BaseModel) and isinstance(raw, dict) and _fits(bare, raw):
            return {
                key: substitute(field_annotation(bare, key), item, (*path, key), resolve)
                if key in bare.model_fields
                else item
                for key, item in raw.items()
            }
    return raw


def _fits(model: type[BaseModel], raw: dict) -> bool:
    """Whether `raw` belongs to this member of a tagged union."""
    if "kind" not in model.model_fields or "kind" not in raw:
        return True
    return raw["kind"] in get_args(model.model_fields["kind"].annotation)


def marked(annotation: Any, value: Any, marker_type: type, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any, Any]]:
    """Yield (path, marker, value) for every validated string whose annotation has a marker of the type."""
    if not holds(annotation, marker_type):
        return
    for option in alternatives(annotation):
        bare, markers = unwrap(option)
        marker = next((m for m in markers if isinstance(m, marker_type)), None)
        if marker is not None and isinstance(value, str):
            yield path, marker, value
            return
        origin, args = get_origin(bare), get_args(bare)
        if origin in (list, tuple) and isinstance(value, list | tuple) and args:
            for index, item in enumerate(value):
                yield from marked(item_of(args, index), item, marker_type, (*path, index))
            return
        if origin is dict and isinstance(value, dict):
            for key, item in value.items():
                yield from marked(args[0], key, marker_type, (*path, key))
                yield from marked(args[1], item, marker_type, (*path, key))
            return
    if isinstance(value, BaseModel):
        for name, inner in _fields_holding(type(value), marker_type):
            yield from marked(inner, getattr(value, name), marker_type, (*path, name))


@cache
def _fields_holding(model: type[BaseModel], marker_type: type) -> list[tuple[str, Any]]:
    """The fields of a model that can contain a marker of the type, with their annotations."""
    fields = [(name, field_annotation(model, name)) for name in model.model_fields]
    return [(name, annotation) for name, annotation in fields if holds(annotation, marker_type)]


def model_at(annotation: Any, raw: Any, path: KeyPath) -> type[BaseModel] | None:
    """The model at a path below an annotation, or None. In a union, the `kind` in `raw` selects the member."""
    for option in _members(annotation, raw):
        bare, _ = unwrap(option)
        args = get_args(bare)
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            if isinstance(raw, dict) and not _fits(bare, raw):
                continue
            if not path:
                return bare
            if path[0] in bare.model_fields:
                inner = raw.get(path[0]) if isinstance(raw, dict) else None
                return model_at(field_annotation(bare, str(path[0])), inner, path[1:])
        elif path and args and get_origin(bare) in (list, tuple, dict):
            try:
                inner = raw[path[0]]
            except (KeyError, IndexError, TypeError):
                inner = None
            return model_at(args[-1] if get_origin(bare) is dict else item_of(args, path[0]), inner, path[1:])
    return None
