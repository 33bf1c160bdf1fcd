"""The difference of two records, as paths with old and new value."""

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

_MISSING = object()


class Change(NamedTuple):
    """One leaf of a record that moved."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        name = self.path.removeprefix("config.")
        for suffix in (".content", ".sha256"):
            if name.endswith(suffix):
                return f"{name.removesuffix(suffix)} has new content"
        if isinstance(self.old, str) and isinstance(self.new, str) and "\n" in self.old + self.new:
            number, old, new = _first_line(self.old, self.new)
            return f"{name} line {number}: {_short(old)} -> {_short(new)}"
        return f"{name}: {_short(self.old)} -> {_short(self.new)}"


def changes(old: Any, new: Any, path: str = "") -> Iterator[Change]:
    """Every leaf at which two records differ, in the order of their keys."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from changes(old.get(key, _MISSING), new.get(key, _MISSING), f"{path}.{key}" if path else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from changes(left, right, f"{path}[{index}]")
    elif old != new:
        yield Change(path, old, new)


def _first_line(old: str, new: str) -> tuple[int, Any, Any]:
    """The first line at which two texts differ, with its number."""
    pairs = zip_longest(old.split("\n"), new.split("\n"), fillvalue=_MISSING)
    return next((number, left, right) for number, (left, right) in enumerate(pairs, start=1) if left != right)


def _short(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 60 else text[:57] + "..."
