"""The leaves at which two records differ."""

from collections.abc import Iterator, Mapping

from astro_factory.core.plans import MISSING

RecordPath = tuple[str | int, ...]
"""Keys and list indices from the top of a record."""


def leaves(old: object, new: object, path: RecordPath = ()) -> Iterator[tuple[RecordPath, object, object]]:
    """Every leaf at which two values of a record differ; a reference to an artifact is one leaf."""
    if isinstance(old, Mapping) and isinstance(new, Mapping) and not ("content" in old and "content" in new):
        for key in sorted({*old, *new}):
            yield from leaves(old.get(key, MISSING), new.get(key, MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from leaves(left, right, (*path, index))
    elif old != new:
        yield path, old, new
