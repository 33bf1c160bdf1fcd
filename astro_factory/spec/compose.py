"""From files to one document: includes merged, overrides applied, `${...}` resolved.

Order: includes, then the spec itself (a key with two different values is an error), then the profile, then `--set`,
then interpolation, so that `--set params.seed=3` reaches every place that says `${params.seed}`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astro_factory.core.errors import Diagnostic, Place, UserError, near, shown
from astro_factory.spec.reader import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    UNRESOLVED,
    Document,
    Path_,
    parse_value,
    read_yaml,
)

APART = ("profiles", "sweeps")
"""Sections of overrides: what they say is interpolated where it is put."""
_REFERENCE = re.compile(r"\$\{([^}]*)\}")


def load(path: Path, _seen: tuple[Path, ...] = ()) -> Document:
    """Read a spec and merge what it includes, depth first."""
    document = read_yaml(path, shown(path))
    includes = document.data.pop("include", None) or []
    if isinstance(includes, str):
        includes = [includes]
    if not isinstance(includes, list):
        raise UserError(
            document.diagnose("E115", ("include",), "include is a list of files", "write `include: [FILE]`")
        )
    seen = (*_seen, path.resolve())
    errors: list[Diagnostic] = []
    for index, name in enumerate(includes):
        target, here = path.parent / str(name), ("include", index)
        if target.resolve() in seen:
            errors.append(document.diagnose("E107", here, f"'{name}' includes itself", "remove one of the includes"))
        elif not target.is_file():
            cause = f"there is no file '{name}' to include"
            errors.append(document.diagnose("E101", here, cause, f"create {shown(target)}"))
        else:
            try:
                errors += _merge(document, load(target, seen))
            except UserError as error:
                errors += error.diagnostics
    if errors:
        raise UserError(*errors)
    return document


def _merge(into: Document, other: Document) -> list[Diagnostic]:
    """Add what `other` says; two different values for one key are an error that names both places."""
    errors: list[Diagnostic] = []

    def walk(left: dict, right: dict, path: Path_) -> None:
        for key, value in right.items():
            here = (*path, key)
            if key not in left:
                left[key] = value
                _copy_places(into, other, here)
            elif isinstance(left[key], dict) and isinstance(value, dict):
                walk(left[key], value, here)
            elif left[key] != value:
                name = ".".join(map(str, here))
                cause = f"'{name}' has two values: {left[key]!r:.60} here, {value!r:.60} at {other.place(here)}"
                remedy = "keep one; what an include says can be changed by a profile or --set"
                errors.append(into.diagnose("E108", here, cause, remedy))

    walk(into.data, other.data, ())
    into.lines.update(other.lines)
    return errors


def _copy_places(into: Document, other: Document, prefix: Path_) -> None:
    size = len(prefix)
    for name in ("places", "key_places"):
        table = getattr(into, name)
        table.update({p: place for p, place in getattr(other, name).items() if p[:size] == prefix})


def apply_profile(document: Document, name: str) -> None:
    """Apply `profiles.<name>`, a mapping of dotted paths to values."""
    profiles = document.data.get("profiles") or {}
    if not isinstance(profiles, dict) or not all(isinstance(values, dict) for values in profiles.values()):
        cause = "profiles is a mapping of names to overrides"
        raise UserError(document.diagnose("E115", ("profiles",), cause, "write `profiles: {NAME: {a.b.c: VALUE}}`"))
    if name not in profiles:
        cause = f"the spec has no profile '{name}'"
        raise UserError(
            document.diagnose("E109", ("profiles",), cause, near(name, profiles) or "add it to `profiles:`")
        )
    for dotted, value in profiles[name].items():
        source = ("profiles", name, dotted)
        override(document, str(dotted), value, document.place(source, key=True), source)


def apply_sets(document: Document, assignments: Sequence[str]) -> None:
    """Apply `--set a.b.c=value` in order."""
    for text in assignments:
        dotted, equals, value = text.partition("=")
        if not equals or not dotted:
            raise UserError.of("E110", f"--set {text!r} is not of the form a.b.c=value", "write --set params.seed=1")
        override(document, dotted, parse_value(value, f"--set {text}"), Place(f"--set {text}"))


def override(document: Document, dotted: str, value: Any, place: Place | None, source: Path_ | None = None) -> None:
    """Put a value at a dotted path, where a number names an entry of a list; `null` removes a key.

    `source` is where the document has the value, if it has: places inside the value are taken from there.
    """
    here: Any = document.data
    path: list[str | int] = []
    *parents, last = dotted.split(".")
    for part in parents:
        step = _step(here, part, path, dotted, place)
        path.append(step)
        if isinstance(here, dict) and here.get(step) is None:
            here[step] = {}
            if place is not None:
                document.places.setdefault(tuple(path), place)
                document.key_places.setdefault(tuple(path), place)
        here = here[step]
    path.append(last := _step(here, last, path, dotted, place))
    _move_places(document, tuple(path), place, source)
    if value is None and isinstance(here, dict):
        here.pop(last, None)
    else:
        here[last] = value


def _step(here: Any, part: str, path: Sequence[str | int], dotted: str, place: Place | None) -> str | int:
    """A part of a dotted path as the key or index of the value reached so far."""
    number = int(part) if re.fullmatch(r"[0-9]{1,9}", part) else None
    if isinstance(here, dict):
        return number if number in here else part
    name = ".".join(map(str, path))
    if not isinstance(here, list):
        raise UserError.of("E110", f"'{dotted}' leads through '{name}', which holds no keys", place=place)
    if number is None or number >= len(here):
        cause = f"'{dotted}' leads through '{name}', a list of {len(here)}, which has no entry '{part}'"
        raise UserError.of("E110", cause, "entries count from 0", place)
    return number


def _move_places(document: Document, path: Path_, place: Place | None, source: Path_ | None) -> None:
    """What stood at `path` stands nowhere now; the new value came from `source`, or from the command line."""
    moved = {}
    if source is not None:
        moved = {(*path, *p[len(source) :]): at for p, at in document.places.items() if p[: len(source)] == source}
    for table in (document.places, document.key_places):
        for stale in [p for p in table if p[: len(path)] == path]:
            del table[stale]
    document.places |= moved
    if place is not None:
        document.places.setdefault(path, place)
        document.key_places[path] = place


def interpolate(document: Document) -> list[Diagnostic]:
    """Replace `${a.b}` by the value at that path: whole strings keep its type, parts of strings take its text.

    Returns what is wrong; a reference that leads nowhere becomes `UNRESOLVED`, so that all else can be checked.
    """
    apart = {key: document.data[key] for key in APART if key in document.data}
    resolver = Interpolation(document)
    document.data = resolver.resolve({key: value for key, value in document.data.items() if key not in apart}, ())
    document.data |= apart
    return resolver.errors


class Interpolation:
    def __init__(self, document: Document):
        self.document = document
        self.errors: list[Diagnostic] = []
        self.size = 0

    def resolve(self, value: Any, path: Path_, trail: tuple[Path_, ...] = ()) -> Any:
        """`value` with its references replaced; `trail` are the references that led here."""
        self._count(1, path)
        if isinstance(value, dict):
            return {key: self.resolve(item, (*path, key), trail) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item, (*path, index), trail) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        if whole := _REFERENCE.fullmatch(value):
            return self._look_up(whole[1], path, trail)
        parts = [self._text(match[1], path, trail) for match in _REFERENCE.finditer(value)]
        if UNRESOLVED in parts:
            return UNRESOLVED
        texts = iter(parts)
        return _REFERENCE.sub(lambda match: next(texts), value)

    def _look_up(self, name: str, path: Path_, trail: tuple[Path_, ...]) -> Any:
        value: Any = self.document.data
        parts = tuple(name.strip().split("."))
        for part in parts:
            if not isinstance(value, Mapping) or part not in value:
                params = self.document.data.get("params")
                choices = [f"params.{key}" for key in params] if isinstance(params, dict) else []
                return self._error("E111", path, f"'${{{name}}}' names nothing in the spec", near(name, choices))
            value = value[part]
        if parts in trail:
            return self._error("E112", path, f"'${{{name}}}' leads back to itself", "break the circle")
        if len(trail) == MAX_DEPTH:
            return self._error("E105", path, f"more than {MAX_DEPTH} references in a row", "simplify the spec")
        # found mistakes are where the value is written, not where it is used
        found = self.resolve(value, parts, (*trail, parts))
        if found is not UNRESOLVED:
            self.document.origins[path] = parts
        return found

    def _text(self, name: str, path: Path_, trail: tuple[Path_, ...]) -> Any:
        value = self._look_up(name, path, trail)
        self.document.origins.pop(path, None)  # the text is written here
        if value is UNRESOLVED:
            return value
        if isinstance(value, dict | list):
            kind = "mapping" if isinstance(value, dict) else "list"
            cause = f"'${{{name}}}' is a {kind} and cannot be part of a text"
            return self._error("E111", path, cause, "let it stand alone, or name one of its values")
        text = value if isinstance(value, str) else json.dumps(value)
        self._count(len(text), path)
        return text

    def _count(self, size: int, path: Path_) -> None:
        self.size += size
        if self.size > MAX_BYTES + MAX_NODES:
            raise UserError(self.document.diagnose("E105", path, "the spec grows too large here", "use fewer `${...}`"))

    def _error(self, code: str, path: Path_, cause: str, remedy: str) -> Any:
        found = self.document.diagnose(code, path, cause, remedy)
        if found not in self.errors:
            self.errors.append(found)
        return UNRESOLVED
