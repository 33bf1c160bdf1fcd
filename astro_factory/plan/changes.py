"""The difference of two records: each field that moved, of what sort it is, and where the spec says so."""

import json
from collections.abc import Iterator, Mapping
from itertools import takewhile, zip_longest
from typing import Any

from astro_factory.core.graph import GraphNode
from astro_factory.core.results import MISSING, Change, ChangeKind

_Path = tuple[str | int, ...]
_BEFORE = 16
"""Characters of a line shown before its first change."""


def changes(old: Mapping[str, Any], new: Mapping[str, Any], node: GraphNode) -> list[Change]:
    """What moved from one record of a node to its present one, in the order of the fields."""
    return [_change(path, left, right, node) for path, left, right in leaves(old, new)]


def leaves(old: Any, new: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any, Any]]:
    """Every leaf at which two values of a record differ; an artifact that is read is one leaf."""
    if isinstance(old, Mapping) and isinstance(new, Mapping) and not ("content" in old and "content" in new):
        for key in sorted({*old, *new}):
            yield from leaves(old.get(key, MISSING), new.get(key, MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from leaves(left, right, (*path, index))
    elif old != new:
        yield path, old, new


def _change(path: _Path, old: Any, new: Any, node: GraphNode) -> Change:
    inside = path[0] == "config"
    name = _name(path[1:] if inside else path)
    kind, text = ChangeKind.CONFIG, f"{name}: {_short(old)} -> {_short(new)}"
    place = node.locate(path[1:]) if inside else None
    if not inside:
        kind = ChangeKind.ENVIRONMENT if path[0] == "environment" else ChangeKind.CODE
    elif _is_read(old) and _is_read(new):
        kind = ChangeKind.UPSTREAM
        other = old.get("name") != new.get("name")
        text = f"{name}: {old['name']} -> {new['name']}" if other else f"{name} has new content"
        if new["content"] is None:
            text = f"{name} waits for what it reads"
    elif path[-1] == "sha256":
        kind, text = ChangeKind.INPUT, f"{_name(path[1:-1])} has new content"
    elif "sources" in path[1:-1]:
        kind = ChangeKind.TEMPLATE
        if isinstance(old, str) and isinstance(new, str):
            number, left, right = _first_line(old, new)
            place, text = None, f"{path[-1]}:{number}: {_lines(left, right)}"
    elif path[1:] == ("revision",):
        kind = ChangeKind.REVISION
    elif path[-1] == "code":
        kind = ChangeKind.CODE
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        number, left, right = _first_line(old, new)
        text = f"{name} line {number}: {_lines(left, right)}"
    return Change(kind, name, old, new, text, place)


def _is_read(value: Any) -> bool:
    """Whether this stands in a record for an artifact."""
    return isinstance(value, Mapping) and "content" in value


def _name(path: _Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _first_line(old: str, new: str) -> tuple[int, Any, Any]:
    """The first line at which two texts differ, with its number."""
    pairs = zip_longest(old.split("\n"), new.split("\n"), fillvalue=MISSING)
    return next((number, left, right) for number, (left, right) in enumerate(pairs, start=1) if left != right)


def _lines(left: Any, right: Any) -> str:
    """Two lines of text, from shortly before where they differ."""
    if MISSING not in (left, right):
        equal = takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
        start = max(0, sum(1 for _ in equal) - _BEFORE)
        left, right = ("..." * (start > 0) + line[start:] for line in (left, right))
    return f"{_short(left)} -> {_short(right)}"


def _short(value: Any) -> str:
    if value is MISSING:
        return "nothing"
    text = json.dumps(_plain(value), ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(value: Any) -> Any:
    """A value with the artifacts in it by their names, or the beginning of their digests."""
    if _is_read(value):
        return value.get("name") or f"{value['content'] or '?':.8}"
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
