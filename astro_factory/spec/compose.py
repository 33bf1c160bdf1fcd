"""Composes a spec: merges includes, applies the profile and `--set`, resolves `${...}`.

The order is: includes and the spec itself (a key with two different values is an error), the profile, `--set`, `like`
(see `likeness`), `${...}`. So `--set params.seed=3` reaches every `${params.seed}`.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from astro_factory.core.errors import Diagnostic, Place, UserError, near, shown
from astro_factory.core.files import kind_of
from astro_factory.core.shipped import shipped_folder
from astro_factory.spec import likeness
from astro_factory.spec.reader import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    UNRESOLVED,
    Document,
    Key,
    KeyPath,
    in_reading_order,
    parse_value,
    read_yaml,
)

APART = ("profiles", "sweeps")
"""Sections that contain overrides. Their values are interpolated where they are applied."""
MAX_FILES = 100
_REFERENCE = re.compile(r"\$\{([^}]*)(\}?)")  # to the end where nothing closes it, so that no part is read twice
_PARAM = re.compile(r"\$\{\s*params\.([^.}\s]+)")


def load(path: Path) -> Document:
    """Read a spec and merge its includes, depth first and each file once.

    Raises `UserError` if a file cannot be read (E101, E102, E106, E107, E126) or the files are too large (E105).
    Errors in keys and values are in the document's `errors`.
    """
    files = _Files(_workspace(path.resolve().parent))
    document = files.read(path, ())
    if files.errors:
        raise UserError(*in_reading_order([*document.errors, *files.errors], shown(path)))
    document.params_read = set(_PARAM.findall(repr(document.data)))  # before a profile removes any
    return document


class _Files:
    """Reads the files of one spec, all from its workspace or shipped. A stranger's spec must not read other files of
    this machine, whose content could end in a message, a record or a publication."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.seen: set[Path] = set()
        self.size = 0
        self.errors: list[Diagnostic] = []

    def read(self, path: Path, trail: tuple[Path, ...]) -> Document:
        """A file with its includes; `trail` lists the files that include it."""
        trail = (*trail, path.resolve())
        document = read_yaml(path, shown(path))
        self.seen.add(trail[-1])
        for index, name in enumerate(_included(document)):
            here, target = ("include", index), path.parent / name
            if not self._is_inside(target):
                cause = f"the included file '{name}' is outside the workspace '{shown(self.workspace)}'"
                remedy = (
                    "copy it into the workspace: the nearest folder with `specs/` or `templates/`, else the spec's own"
                )
                self._error(document, "E126", here, cause, remedy)
                continue
            resolved = target.resolve() if kind_of(target) == "file" else None
            if resolved is None:
                self._error(
                    document, "E101", here, f"the included file '{name}' does not exist", f"create {shown(target)}"
                )
            elif resolved in trail:
                self._error(document, "E107", here, f"'{name}' includes itself", "remove one of the includes")
            elif resolved not in self.seen:
                self.size += target.stat().st_size
                if len(self.seen) >= MAX_FILES or self.size > MAX_BYTES:
                    cause = f"the spec with its includes exceeds {MAX_FILES} files or {MAX_BYTES} bytes"
                    self._error(document, "E105", here, cause, "move long data into files that a stage reads")
                    break
                try:
                    _merge(document, _rebased(path.parent, self.read(target, trail), target.parent, document))
                except UserError as error:
                    place = document.place(here)
                    self.errors += [
                        found if found.place else replace(found, place=place) for found in error.diagnostics
                    ]
        return document

    def _is_inside(self, path: Path) -> bool:
        """Whether a file belongs to the workspace or is one of ours."""
        try:
            found = path.resolve()
        except (OSError, ValueError, RuntimeError):  # an impossible name, or a link to itself
            return True
        return any(found.is_relative_to(folder) for folder in (self.workspace, shipped_folder("specs").resolve()))

    def _error(self, document: Document, code: str, path: KeyPath, cause: str, remedy: str) -> None:
        self.errors.append(document.diagnose(code, path, cause, remedy))


def _workspace(folder: Path) -> Path:
    """The nearest folder at or above a spec's that contains `specs/` or `templates/`; if none does, the spec's."""
    for candidate in (folder, *folder.parents):
        if any(kind_of(candidate / name) == "folder" for name in ("specs", "templates")):
            return candidate
    return folder


def _included(document: Document) -> list[str]:
    """The files that a document includes; removes the key `include` from it."""
    names = document.data.pop("include", None)
    if names is None or names is UNRESOLVED:
        return []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        document.errors.append(
            document.diagnose("E115", ("include",), "`include` must be a list of files", "write `include: [FILE]`")
        )
        return []
    return names


def _rebased(folder: Path, other: Document, home: Path, document: Document) -> Document:
    """An included document with the includer's name, and with paths of imports relative to the includer's folder."""
    if "name" in document.data:
        other.data.pop("name", None)
    imports = other.data.get("imports")
    if isinstance(imports, list) and all(isinstance(name, str) for name in imports):
        other.data["imports"] = [Path(os.path.relpath(home / name, folder)).as_posix() for name in imports]
    return other


def _merge(into: Document, other: Document) -> None:
    """Merge `other` in; two different values for one key are an error that names both places."""

    def walk(left: dict, right: dict, path: KeyPath) -> None:
        for key, value in right.items():
            here = (*path, key)
            if key not in left:
                left[key] = value
                _copy_places(into, other, here)
            elif isinstance(left[key], dict) and isinstance(value, dict):
                walk(left[key], value, here)
            elif left[key] != value and UNRESOLVED not in (left[key], value):
                name = ".".join(map(str, here))
                place = other.place(here)
                cause = f"'{name}' has two values: {left[key]!r:.60} here, {value!r:.60} at {place}"
                remedy = "remove one; a profile or --set can change a value of an include"
                into.errors.append(into.diagnose("E108", here, cause, remedy))
                if isinstance(value, dict):  # keep the more detailed one to avoid follow-up errors
                    left[key] = value
                    _copy_places(into, other, here)

    walk(into.data, other.data, ())
    into.lines.update(other.lines)
    into.errors += other.errors


def _copy_places(into: Document, other: Document, prefix: KeyPath) -> None:
    size = len(prefix)
    for name in ("places", "key_places"):
        table = getattr(into, name)
        table.update({p: place for p, place in getattr(other, name).items() if p[:size] == prefix})


def apply_profile(document: Document, name: str) -> None:
    """Apply `profiles.<name>`, a mapping of dotted paths to values. Raises `UserError` E109, E110.

    The compiler reports profiles of any other form.
    """
    profiles = document.data.get("profiles") or {}
    if not isinstance(profiles, dict):
        return
    if name not in profiles:
        cause, remedy = f"the spec has no profile '{name}'", near(name, profiles) or "add it to `profiles:`"
        raise UserError(document.diagnose("E109", ("profiles",), cause, remedy))
    values = profiles[name] if isinstance(profiles[name], dict) else {}
    for dotted, value in values.items():
        source = ("profiles", name, dotted)
        override(document, str(dotted), value, document.place(source, key=True), source)


def apply_set(document: Document, assignment: str) -> None:
    """Apply one `--set a.b.c=value`. Raises `UserError` E102, E105, E110."""
    dotted, equals, value = assignment.partition("=")
    if not equals or not dotted:
        cause = f"--set {assignment!r} is not of the form a.b.c=value"
        raise UserError.of("E110", cause, "write --set params.seed=1", Place(f"--set {assignment}"))
    override(document, dotted, parse_value(value, f"--set {assignment}"), Place(f"--set {assignment}"))


def override(document: Document, dotted: str, value: Any, place: Place | None, source: KeyPath | None = None) -> None:
    """Set the value at a dotted path; a number selects an item of a list. `null` removes a key, even an inherited one.

    Existing keys that contain dots, such as the axes of a sweep, are found as well. `source` is the path of the value
    in the document, if it has one: places inside the value are copied from there. Raises `UserError` E110.
    """
    here: Any = document.data
    path: list[Key] = []

    def step(part: str) -> str | int:
        """The key or index that a part of the path selects in the current value."""
        name = ".".join(map(str, path))
        key = _key(here, part) if isinstance(here, dict | list) else None
        if key is None:
            cause, remedy = f"'{dotted}' goes through '{name}', which has no keys", f"set '{name}' itself"
        elif isinstance(here, list) and key not in range(len(here)):
            cause = f"'{dotted}' goes through '{name}', a list of {len(here)} without an item '{part}'"
            remedy = "items are numbered from 0"
        else:
            return key
        raise UserError(Diagnostic("E110", cause, remedy, place, document.excerpt(place)))

    parts = dotted.split(".")
    while True:
        part, parts = _first_key(here, parts)
        key = step(part)
        path.append(key)
        if not parts:
            break
        if isinstance(here, dict) and here.get(key) is None:
            here[key] = {}
            if place is not None:
                document.places.setdefault(tuple(path), place)
                document.key_places.setdefault(tuple(path), place)
        here = here[key]
    _move_places(document, tuple(path), place, source)
    if value is None and isinstance(here, dict) and not _inherits(document, path):
        here.pop(key, None)
    else:
        here[key] = value


def split(data: Any, dotted: str) -> tuple[str, ...]:
    """The keys along a dotted path, as `override` finds them."""
    path, parts = [], dotted.split(".")
    while parts:
        part, parts = _first_key(data, parts)
        path.append(part)
        child = _child(data, part)
        data = child[1] if child else None
    return tuple(path)


def _inherits(document: Document, path: list[Key]) -> bool:
    """Whether a path is inside an entry that has `like`."""
    if len(path) < 3 or path[0] not in likeness.SECTIONS:
        return False
    entry = document.data[path[0]][path[1]]
    return isinstance(entry, dict) and likeness.LIKE in entry


def _first_key(value: Any, parts: list[str]) -> tuple[str, list[str]]:
    """Split off the next key of a dotted path: the longest existing key, else the first part."""
    if isinstance(value, dict):
        for size in range(len(parts), 1, -1):
            if (key := ".".join(parts[:size])) in value:
                return key, parts[size:]
    return parts[0], parts[1:]


def _key(value: dict | list, part: str) -> Key:
    """A part of a dotted path as a key: a number for an item of a list or a numeric key of a mapping."""
    number = int(part) if re.fullmatch(r"[0-9]{1,9}", part) else None
    return part if number is None or (isinstance(value, dict) and number not in value) else number


def _child(value: Any, part: str) -> tuple[Key, Any] | None:
    """The key and value that a part of a dotted path selects, or None."""
    if isinstance(value, dict):
        key = _key(value, part)
        return (key, value[key]) if key in value else None
    if isinstance(value, list) and isinstance(index := _key(value, part), int) and index < len(value):
        return index, value[index]
    return None


def _move_places(document: Document, path: KeyPath, place: Place | None, source: KeyPath | None) -> None:
    """Forget the places at and below `path`; the new value came from `source` or from the command line."""
    for table in (document.places, document.key_places):
        moved = {}
        if source is not None:
            moved = {(*path, *p[len(source) :]): at for p, at in table.items() if p[: len(source)] == source}
        for stale in [p for p in table if p[: len(path)] == path]:
            del table[stale]
        table |= moved
    if place is not None:
        document.places.setdefault(path, place)
        document.key_places[path] = place


def interpolate(document: Document) -> list[Diagnostic]:
    """Replace `${a.b}` by the value at that path. Alone it keeps its type; inside a string it becomes text.

    Returns the errors; a reference that cannot be resolved becomes `UNRESOLVED`, so the rest can still be checked.
    """
    apart = {key: document.data[key] for key in APART if key in document.data}
    resolver = Interpolation(document)
    document.data = resolver.resolve({key: value for key, value in document.data.items() if key not in apart}, ())
    document.data |= apart
    return resolver.errors


class Interpolation:
    """Resolves the references of one document and collects their errors."""

    def __init__(self, document: Document):
        self.document = document
        self.errors: list[Diagnostic] = []
        self.size = 0

    def resolve(self, value: Any, path: KeyPath, trail: tuple[KeyPath, ...] = ()) -> Any:
        """`value` with its references replaced; `trail` lists the references being resolved."""
        self._count(1, path)
        if isinstance(value, dict):
            return {key: self.resolve(item, (*path, key), trail) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item, (*path, index), trail) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        if (whole := _REFERENCE.fullmatch(value)) and whole[2]:
            return self._look_up(whole[1], path, trail)
        parts = [self._text(match[1], path, trail) for match in _REFERENCE.finditer(value) if match[2]]
        if UNRESOLVED in parts:
            return UNRESOLVED
        texts = iter(parts)
        self.document.joined.add(path)
        return _REFERENCE.sub(lambda match: next(texts) if match[2] else match[0], value)

    def _look_up(self, name: str, path: KeyPath, trail: tuple[KeyPath, ...]) -> Any:
        value: Any = self.document.data
        keys: list[Key] = []
        for part in name.strip().split("."):
            if value is UNRESOLVED:
                return value
            if (found := _child(value, part)) is None:
                cause = f"'${{{name}}}' does not refer to anything in the spec"
                return self._error("E111", path, cause, self._nearest(name, keys))
            key, value = found
            keys.append(key)
        if keys[0] == "params":
            self.document.params_read |= {str(keys[1])} if len(keys) > 1 else set(map(str, value))
        parts = tuple(keys)
        if parts in trail:
            return self._error("E112", path, f"'${{{name}}}' refers back to itself", "write a value instead")
        if len(trail) == MAX_DEPTH:
            return self._error("E105", path, f"a chain of more than {MAX_DEPTH} references", "simplify the spec")
        # errors inside the value are reported where it is written, not where it is used
        found = self.resolve(value, parts, (*trail, parts))
        if found is not UNRESOLVED:
            self.document.origins[path] = parts
        return found

    def _nearest(self, name: str, parts: Sequence[Key]) -> str:
        """A remedy: similar parameters, or similar neighbours of the missing part."""
        value: Any = self.document.data
        for part in parts:
            value = value[part]
        prefix = ".".join(map(str, parts)) if parts else "params"
        value = value if parts else value.get("params")
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        return near(name, [f"{prefix}.{key}" for key in keys]) or "refer to a value of the spec, such as params.seed"

    def _text(self, name: str, path: KeyPath, trail: tuple[KeyPath, ...]) -> Any:
        value = self._look_up(name, path, trail)
        self.document.origins.pop(path, None)  # the string itself is written here
        if value is UNRESOLVED:
            return value
        if isinstance(value, dict | list):
            kind = "mapping" if isinstance(value, dict) else "list"
            cause = f"'${{{name}}}' is a {kind} and cannot be inserted into a string"
            return self._error("E111", path, cause, "use it as the whole value, or refer to one of its values")
        text = value if isinstance(value, str) else json.dumps(value)
        self._count(len(text), path)
        return text

    def _count(self, size: int, path: KeyPath) -> None:
        self.size += size
        if self.size > MAX_BYTES + MAX_NODES:
            raise UserError(
                self.document.diagnose("E105", path, "the spec becomes too large here", "use fewer `${...}`")
            )

    def _error(self, code: str, path: KeyPath, cause: str, remedy: str) -> Any:
        found = self.document.diagnose(code, path, cause, remedy)
        if found not in self.errors:
            self.errors.append(found)
        return UNRESOLVED
