"""The difference of two records: each field that changed, which kind of change it is, and where the spec sets it."""

import json
from collections.abc import Mapping
from itertools import takewhile, zip_longest
from typing import Any, TypeGuard

from astro_factory.core.differences import RecordPath, leaves
from astro_factory.core.graph import GraphNode
from astro_factory.core.plans import MISSING, Change, ChangeKind
from astro_factory.core.results import Record, is_digest

_CONTEXT = 16
"""Characters of a line to show before its first difference."""
_LIMIT = 60
"""Characters of a value to show."""


def changes(old: Record, new: Record, node: GraphNode) -> list[Change]:
    """What changed from an earlier record of a node to its present one, in the order of the fields."""
    return [_change(path, left, right, node) for path, left, right in leaves(old, new)]


def _change(path: RecordPath, old: object, new: object, node: GraphNode) -> Change:
    in_config = path[0] == "config"
    name = _name(path[1:] if in_config else path)
    kind, text = ChangeKind.CONFIG, f"{name}: {_short(old)} -> {_short(new)}"
    place = node.locate(path[1:]) if in_config else None
    if not in_config:
        kind = ChangeKind.ENVIRONMENT if path[0] == "environment" else ChangeKind.CODE
    elif _is_reference(old) and _is_reference(new):
        kind = ChangeKind.UPSTREAM
        renamed = old.get("name") != new.get("name")
        text = f"{name}: {old['name']} -> {new['name']}" if renamed else f"{name} has new content"
        if new["content"] is None:
            text = f"{name} is not built yet"
    elif path[-1] == "sha256":
        kind, text = ChangeKind.INPUT, f"{_name(path[1:-1])} has new content"
    elif "sources" in path[1:-1]:
        kind = ChangeKind.TEMPLATE
        if isinstance(old, str) and isinstance(new, str):
            number, left, right = _first_difference(old, new)
            place, text = None, f"{path[-1]}:{number}: {_lines(left, right)}"
    elif path[1:] == ("revision",):
        kind = ChangeKind.REVISION
    elif path[-1] in ("code", "verifier_code"):
        kind = ChangeKind.CODE
        file = next((code.file for code in node.code if code.digest_path == path[1:] and code.digest == new), "")
        text = f"{file} or a file that it imports changed" if file and is_digest(old) else text
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        number, left, right = _first_difference(old, new)
        text = f"{name} line {number}: {_lines(left, right)}"
    return Change(kind, name, old, new, text, place)


def _is_reference(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether this value of a record stands for an artifact."""
    return isinstance(value, Mapping) and "content" in value


def _name(path: RecordPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _first_difference(old: str, new: str) -> tuple[int, object, object]:
    """The number of the first line at which two texts differ, and both lines."""
    pairs = zip_longest(old.split("\n"), new.split("\n"), fillvalue=MISSING)
    return next((number, left, right) for number, (left, right) in enumerate(pairs, start=1) if left != right)


def _lines(left: object, right: object) -> str:
    """Two different lines, starting shortly before their first difference."""
    if isinstance(left, str) and isinstance(right, str):
        equal = takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
        start = max(0, sum(1 for _ in equal) - _CONTEXT)
        left, right = ("..." * (start > 0) + line[start:] for line in (left, right))
    return f"{_short(left)} -> {_short(right)}"


def _short(value: object) -> str:
    if value is MISSING:
        return "nothing"
    text = json.dumps(_readable(value), ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _LIMIT else text[: _LIMIT - 3] + "..."


def _readable(value: object) -> object:
    """A value with each artifact in it replaced by its name or the start of its digest."""
    if _is_reference(value):
        return value.get("name") or f"{value['content'] or '?':.8}"
    if isinstance(value, Mapping):
        return {key: _readable(item) for key, item in value.items()}
    return [_readable(item) for item in value] if isinstance(value, list) else value
