"""From files to one document: includes merged, overrides applied, `${...}` resolved.

Order: includes, then the spec itself (a key with two different values is an error), then the profile, then `--set`, then
interpolation, so that `--set params.seed=3` reaches every place that says `${params.seed}`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astro_factory.core.errors import Diagnostic, Place, UserError, shown
from astro_factory.spec.reader import Document, Path_, parse_value, read_yaml

_REFERENCE = re.compile(r"\$\{([^}]*)\}")


def load(path: Path, _seen: tuple[Path, ...] = ()) -> Document:
    """Read a spec and merge what it includes, depth first."""
    document = read_yaml(path, shown(path))
    includes = document.data.pop("include", None) or []
    if isinstance(includes, str):
        includes = [includes]
    seen = (*_seen, path.resolve())
    for index, name in enumerate(includes):
        target = path.parent / str(name)
        if target.resolve() in seen:
            cause = f"'{name}' includes itself"
            raise UserError(document.diagnose("E107", ("include", index), cause, "remove one of the includes"))
        if not target.is_file():
            cause = f"there is no file '{name}' beside the spec"
            raise UserError(document.diagnose("E101", ("include", index), cause, f"create {shown(target)}"))
        _merge(document, load(target, seen))
    return document


def _merge(into: Document, other: Document) -> None:
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
                cause = f"'{name}' has two values: {left[key]!r} here, {value!r} at {other.place(here)}"
                errors.append(into.diagnose("E108", here, cause, "keep one, or override it with a profile or --set"))

    walk(into.data, other.data, ())
    into.lines.update(other.lines)
    if errors:
        raise UserError(*errors)


def _copy_places(into: Document, other: Document, prefix: Path_) -> None:
    size = len(prefix)
    for name in ("places", "key_places"):
        table = getattr(into, name)
        table.update({p: place for p, place in getattr(other, name).items() if p[:size] == prefix})


def apply_profile(document: Document, name: str) -> None:
    """Apply `profiles.<name>`, a mapping of dotted paths to values."""
    profiles = document.data.get("profiles") or {}
    if name not in profiles:
        choices = ", ".join(sorted(map(str, profiles))) or "none"
        raise UserError(document.diagnose("E109", ("profiles",), f"no profile '{name}'", f"profiles: {choices}"))
    for dotted, value in profiles[name].items():
        source = ("profiles", name, dotted)
        override(document, str(dotted), value, document.place(source, key=True), source)


def apply_sets(document: Document, assignments: Sequence[str]) -> None:
    """Apply `--set a.b.c=value` in order."""
    for text in assignments:
        dotted, equals, value = text.partition("=")
        if not equals or not dotted:
            raise UserError.of("E110", f"--set {text!r} is not of the form a.b.c=value", "write --set params.seed=1")
        override(document, dotted, parse_value(value), Place(f"--set {text}"))


def override(document: Document, dotted: str, value: Any, place: Place | None, source: Path_ | None = None) -> None:
    """Put a value at a dotted path; `null` removes the key."""
    *parents, last = (int(part) if part.isdigit() else part for part in dotted.split("."))
    here: Any = document.data
    for depth, part in enumerate(parents):
        try:
            here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
        except (IndexError, TypeError):
            here = None
        if not isinstance(here, dict | list):
            name = ".".join(map(str, parents[: depth + 1]))
            raise UserError(Diagnostic("E110", f"'{dotted}' leads through '{name}', which holds no keys", "", place))
    path = (*parents, last)
    size = len(path)
    moved = {}
    if source is not None:
        moved = {(*path, *p[len(source) :]): at for p, at in document.places.items() if p[: len(source)] == source}
    for table in (document.places, document.key_places):
        for stale in [p for p in table if p[:size] == path]:
            del table[stale]
    document.places |= moved
    if place is not None:
        document.places[path] = document.key_places[path] = place
    if value is None and isinstance(here, dict):
        here.pop(last, None)
    elif isinstance(here, list) and not (isinstance(last, int) and last < len(here)):
        raise UserError(Diagnostic("E110", f"'{dotted}': the list has {len(here)} entries", "", place))
    else:
        here[last] = value


def interpolate(document: Document) -> None:
    """Replace `${a.b}` by the value at that path: whole strings keep its type, parts of strings take its text."""
    errors: list[Diagnostic] = []

    def look_up(name: str, path: Path_, trail: tuple[str, ...]) -> Any:
        value: Any = document.data
        for part in name.strip().split("."):
            if not isinstance(value, Mapping) or part not in value:
                params = ", ".join(f"params.{key}" for key in document.data.get("params") or {})
                cause = f"'${{{name}}}' names nothing in the spec"
                errors.append(document.diagnose("E111", path, cause, f"defined: {params or 'no params'}"))
                return ""
            value = value[part]
        if name in trail:
            errors.append(document.diagnose("E112", path, f"'${{{name}}}' leads back to itself", "break the circle"))
            return ""
        return resolve(value, path, (*trail, name))

    def resolve(value: Any, path: Path_, trail: tuple[str, ...] = ()) -> Any:
        if isinstance(value, dict):
            return {key: resolve(item, (*path, key), trail) for key, item in value.items()}
        if isinstance(value, list):
            return [resolve(item, (*path, index), trail) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        if whole := _REFERENCE.fullmatch(value):
            return look_up(whole[1], path, trail)
        return _REFERENCE.sub(lambda match: str(look_up(match[1], path, trail)), value)

    profiles = document.data.pop("profiles", None)
    document.data = resolve(document.data, ())
    if profiles is not None:
        document.data["profiles"] = profiles
    if errors:
        raise UserError(*errors)
