"""`like: NAME`: an entry that inherits from another entry of its section.

    direct_sft: {like: astro_sft, data: direct}

Mappings merge, lists and scalars replace, `null` removes a key: JSON Merge Patch (RFC 7386). Entries are resolved after
the profile and `--set` and before `${...}`, so an override of `astro_sft` also reaches `direct_sft`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from astro_factory.core.errors import Diagnostic, UserError, near
from astro_factory.spec.reader import MAX_NODES, UNRESOLVED, Document, Key, KeyPath
from astro_factory.spec.sections import DEFINITION_SECTIONS, NODE_SECTIONS

LIKE = "like"
SECTIONS = (*NODE_SECTIONS, *DEFINITION_SECTIONS)
"""Sections whose entries take `like`."""


def spell_out(document: Document) -> list[Diagnostic]:
    """Replace every entry that has `like` by its full content.

    `document.likes` then maps the path of each inherited value to its source. Returns the errors; an entry that cannot
    be resolved becomes `UNRESOLVED`. Raises `UserError` E105 if the entries become too large.
    """
    document.likes = {}
    errors: list[Diagnostic] = []
    data = dict(document.data)
    for section in SECTIONS:
        entries = data.get(section)
        if isinstance(entries, dict) and any(isinstance(own, dict) and LIKE in own for own in entries.values()):
            data[section] = _Section(document, section, entries, errors).spelled_out()
    document.data = data
    return errors


class _Section:
    """The entries of one section."""

    def __init__(self, document: Document, section: str, entries: dict[Key, Any], errors: list[Diagnostic]):
        self.document, self.section, self.entries, self.errors = document, section, entries, errors
        self.names = {str(name): name for name in entries}
        self.size = 0
        self.spelled: dict[Key, Any] = {}
        """The entries resolved so far."""
        self.bases: dict[Key, Key] = {}
        """Entry to the entry that it inherits from."""
        for name, own in entries.items():
            if not isinstance(own, dict) or LIKE not in own:
                self.spelled[name] = own
            elif own[LIKE] is None:  # `--set stages.x.like=null`
                self.spelled[name] = self._merged({}, _itself(own), (), ())
            elif (base := self._base(name, own[LIKE])) is None:
                self.spelled[name] = UNRESOLVED
            else:
                self.bases[name] = base

    def spelled_out(self) -> dict[Key, Any]:
        return {name: self._entry(name) for name in self.entries}

    def _base(self, name: Key, like: Any) -> Key | None:
        """The entry that `like` refers to, or None with an error."""
        path = (self.section, name, LIKE)
        if like is UNRESOLVED:
            return None
        if isinstance(like, bool) or not isinstance(like, str | int) or "${" in str(like):
            cause = f"{self.section}.{name}.like must be the name of an entry of {self.section}"
            self._error("E115", path, cause, "write `like: NAME`; use a profile or --set to change it")
        elif str(like) not in self.names:
            cause = f"'{like}' is not defined in {self.section}"
            others = [other for other in self.names if other != str(name)]
            self._error("E120", path, cause, near(like, others) or f"define it under `{self.section}:`")
        else:
            return self.names[str(like)]
        return None

    def _error(self, code: str, path: KeyPath, cause: str, remedy: str) -> None:
        self.errors.append(self.document.diagnose(code, path, cause, remedy))

    def _entry(self, name: Key) -> Any:
        """The full content of an entry."""
        chain: dict[Key, None] = {}
        while name not in self.spelled and name not in chain:
            chain[name] = None
            name = self.bases[name]
        if name in chain:
            names = list(chain)
            cycle = names[names.index(name) :]
            text = " -> ".join(map(str, (*cycle, name)))
            cause = f"these entries of {self.section} are like each other: {text}"
            self._error("E123", (self.section, name, LIKE), cause, "write one of them without `like`")
            self.spelled |= dict.fromkeys(cycle, UNRESOLVED)
        for heir in reversed(chain):
            base = self.bases[heir]
            if heir not in self.spelled:
                inherited, own = self.spelled[base], _itself(self.entries[heir])
                paths = (self.section, base), (self.section, heir)
                self.spelled[heir] = self._merged(inherited, own, *paths) if isinstance(inherited, dict) else UNRESOLVED
        return self.spelled[next(iter(chain), name)]

    def _merged(self, base: Any, own: dict[Key, Any], base_path: KeyPath, path: KeyPath) -> dict[Key, Any]:
        """`base` patched with `own`."""
        merged = dict(base) if isinstance(base, dict) else {}
        for key in merged.keys() - own.keys():
            self.document.likes[(*path, key)] = (*base_path, key)
        for key, value in own.items():
            if value is None:
                merged.pop(key, None)
            elif isinstance(value, dict):
                merged[key] = self._merged(merged.get(key), value, (*base_path, key), (*path, key))
            else:
                merged[key] = value
        self.size += len(merged)
        if self.size > MAX_NODES:
            cause, remedy = "the inherited entries become too large here", "use shorter chains of `like`"
            raise UserError(self.document.diagnose("E105", path, cause, remedy))
        return merged


def _itself(own: dict[Key, Any]) -> dict[Key, Any]:
    """The content of an entry without `like`."""
    return {key: value for key, value in own.items() if key != LIKE}


def reached(data: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths whose values change with the value at `path`: `path` itself and the entries that inherit from it.

    `data` still contains `like`. The result does not depend on the value at `path`.
    """
    yield path
    entries = data.get(path[0])
    if len(path) < 2 or path[0] not in SECTIONS or not isinstance(entries, dict):
        return
    section, name, *rest = path
    own_of = {str(key): own for key, own in entries.items() if isinstance(own, dict)}
    for heir in own_of:
        at, seen = heir, set()
        while at not in seen and LIKE in (own := own_of.get(at, {})) and not _overrides(own, rest):
            seen.add(at)
            at = str(own[LIKE])
            if at == name:
                yield (section, heir, *rest)
                break


def _overrides(own: dict[Key, Any], rest: list[str]) -> bool:
    """Whether an entry determines the value at a path itself, whatever it inherits."""
    if rest[:1] == [LIKE]:
        return False
    value: Any = own
    for part in rest:
        if not isinstance(value, dict):
            return True
        found = {str(key): item for key, item in value.items()}
        if part not in found:
            return False
        value = found[part]
    return not isinstance(value, dict)
