"""The difference of two records, as paths with old and new value."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_MISSING = object()


class Change(NamedTuple):
    """One leaf of a record that moved."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.path.endswith(".content"):
            return f"{self.path.removesuffix('.content').removeprefix('config.')} has new content"
        return f"{self.path.removeprefix('config.')}: {_short(self.old)} -> {_short(self.new)}"


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


def _short(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
