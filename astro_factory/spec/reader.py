"""Reads YAML 1.2 through PyYAML's node graph: plain values, and the place of every key and value.

PyYAML's own constructors implement YAML 1.1 (`no` is false, `010` is 8, `1e-5` is a string) and drop duplicate keys, so
only its parser is used.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import yaml

from astro_factory.core.annotations import Key, KeyPath
from astro_factory.core.errors import Diagnostic, Place, UserError, did_you_mean, excerpt

UNRESOLVED = object()
"""Replaces a value that cannot be resolved, so that checking can continue. Its error is already recorded."""

MAX_BYTES = 1 << 20
"""Size limit of a spec with all its includes."""
MAX_DEPTH = 40
MAX_NODES = 100_000
MAX_DIGITS = 400
"""Longest number; Python itself refuses to parse integers of more than 4300 digits."""

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_HEX_OR_OCTAL = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass
class Document:
    """A mapping read from YAML, with the place of every key and value.

    `errors` collects all problems. A value that cannot be read is `UNRESOLVED`, so the rest can still be checked.
    """

    data: dict[Key, Any]
    places: dict[KeyPath, Place] = field(default_factory=lambda: {(): Place("")})
    """Place of the value at a path; `()` is always known."""
    key_places: dict[KeyPath, Place] = field(default_factory=dict)
    """Place of the last key of a path."""
    lines: dict[str, list[str]] = field(default_factory=dict)
    """Source lines of each file, for excerpts."""
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    """Path of a value inserted by `${...}` to the path where it is written."""
    joined: set[KeyPath] = field(default_factory=set)
    """Paths of strings that contain `${...}` beside other text."""
    likes: dict[KeyPath, KeyPath] = field(default_factory=dict)
    """Path of a value inherited by `like` to its path in the other entry."""
    params_read: set[str] = field(default_factory=set)
    """Names under `params` that some `${...}` refers to."""
    errors: list[Diagnostic] = field(default_factory=list)

    def origin(self, path: KeyPath) -> KeyPath:
        """Where the value at a path is written: a different path if it came from `${...}` or `like`."""
        for size in range(len(path), 0, -1):
            if source := self.source(path[:size]):
                return self.origin((*source, *path[size:]))
        return path

    def source(self, path: KeyPath) -> KeyPath | None:
        """The path that this value was taken from by `${...}` or `like`, if any."""
        return self.origins.get(path) or self.likes.get(path)

    def _key_origin(self, path: KeyPath) -> KeyPath:
        """Where the key at a path is written."""
        while (written := self.likes.get(path) or (*self.origin(path[:-1]), path[-1])) != path:
            path = written
        return path

    def place(self, path: KeyPath, *, key: bool = False) -> Place:
        """The nearest known place at or above a path."""
        if key and path in self.key_places:
            return self.key_places[path]
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def excerpt(self, place: Place | None) -> str:
        """The source line of a place with a caret under the column."""
        if place is None or not 0 < place.line <= len(self.lines.get(place.file, ())):
            return ""
        return excerpt(self.lines[place.file][place.line - 1], place.column)

    def diagnose(self, code: str, path: KeyPath, cause: str, remedy: str = "", *, key: bool = False) -> Diagnostic:
        """A diagnostic at the value (or key) of a path: where it is written and, if that differs, where it is used."""
        written = self._key_origin(path) if key and path else self.origin(path)
        place = self.place(written, key=key)
        used_at = self.place(path, key=key) if self.origins or self.likes else None
        return Diagnostic(code, cause, remedy, place, self.excerpt(place), used_at if used_at != place else None)


def in_reading_order(errors: Iterable[Diagnostic], main: str) -> list[Diagnostic]:
    """Each error once, sorted by place with the file `main` first.

    An error in a value that was taken from elsewhere is dropped if the same error is reported where it is written.
    """
    errors = list(errors)
    places = {error: error.place for error in errors if error.place}
    written = {(error.code, error.place) for error in errors if not error.used_at}
    return sorted(
        dict.fromkeys(error for error in errors if not error.used_at or (error.code, error.place) not in written),
        key=lambda e: (p.file != main, p.file, p.line, p.column) if (p := places.get(e)) else (False, "", 0, 0),
    )


def read_yaml(path: Path, shown_as: str) -> Document:
    """Read a YAML file with a mapping at its top. Raises `UserError` E101 (unreadable) and as `parse_yaml`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        remedy = ""
        if isinstance(error, FileNotFoundError):
            names = [other.name for other in path.parent.glob("*.y*ml")]
            inside = [f"specs/{other.name}" for other in (path.parent / "specs").glob("*.y*ml")]
            remedy = did_you_mean(path.name, names) or did_you_mean(f"specs/{path.stem}.yaml", inside)
        raise UserError.of("E101", f"cannot read '{shown_as}': {reason}", remedy or "check the path") from None
    if len(raw) > MAX_BYTES:
        raise UserError.of("E105", f"'{shown_as}' is larger than {MAX_BYTES} bytes", "split it with `include:`")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_after(raw[: error.start].decode(), shown_as)
        line = raw.decode("utf-8", "replace").splitlines()[place.line - 1]
        cause, remedy = "the file is not UTF-8", "save it as UTF-8"
        raise UserError(Diagnostic("E102", cause, remedy, place, excerpt(line, place.column))) from None
    return parse_yaml(text, shown_as)


def _place_after(text: str, file: str) -> Place:
    """The place right after a text that starts at the beginning of a file."""
    *lines, last = f"{text}^".splitlines()
    return Place(file, len(lines) + 1, len(last))


_REFERENCE = re.compile(r"\$\{([\w .-]*)\}")


def _stand_ins(text: str) -> tuple[str, str]:
    """Two characters that do not occur in the text. They replace the braces of `${...}` during parsing, because YAML
    would read these as a flow mapping. They are single characters so that columns stay correct."""
    used = set(text)
    private = map(chr, chain(range(0xE000, 0xF900), range(0xF0000, 0xFFFFE)))
    opening, closing = islice((character for character in private if character not in used), 2)
    return opening, closing


def parse_yaml(text: str, shown_as: str) -> Document:
    """`read_yaml` for a string. Raises `UserError` E102 (not YAML), E105 (limits), E106 (no mapping). Other
    errors (duplicate keys, tags) do not prevent reading the rest; they are in the document's `errors`."""
    lines = text.splitlines()
    document = Document({}, places={(): Place(shown_as, 1, 1)}, lines={shown_as: lines})
    if odd := yaml.reader.Reader.NON_PRINTABLE.search(text):
        place = _place_after(text[: odd.start()], shown_as)
        cause = f"not valid YAML: it contains the character U+{ord(odd[0]):04X}"
        raise UserError(Diagnostic("E102", cause, "remove the character", place, document.excerpt(place)))
    opening, closing = _stand_ins(text)
    hidden = _REFERENCE.sub(lambda match: f"${opening}{match[1]}{closing}", text)
    try:
        _check_depth(hidden, document, shown_as)
        root = yaml.compose(hidden, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if error.context_mark and (mark is None or mark.line >= len(lines)):  # at the end of the file: show its start
            mark = error.context_mark
        assert mark is not None
        if "nesting depth" in (error.problem or ""):  # the parser's own limit, which may come first
            raise _too_large(document, f"{MAX_DEPTH} levels", mark, shown_as) from None
        place = Place(shown_as, mark.line + 1, mark.column + 1)
        problem = " ".join(filter(None, (error.context, error.problem)))
        remedy = next((remedy for words, remedy in _REMEDIES.items() if words in problem), "fix the line")
        found = Diagnostic("E102", f"not valid YAML: {problem}", remedy, place, document.excerpt(place))
        raise UserError(found) from None
    builder = _Builder(document, shown_as, str.maketrans({opening: "{", closing: "}"}))
    data = builder.value(root, ()) if root is not None else {}
    if data is not UNRESOLVED and not isinstance(data, dict):
        document.errors.append(
            document.diagnose(
                "E106", (), "the top level of a spec must be a mapping of sections", "start with `factory: 1`"
            )
        )
    if not isinstance(data, dict):
        raise UserError(*document.errors)
    document.data = data
    return document


_REMEDIES = {
    "found character '\\t'": "indent with spaces, not tabs",
    "cannot start any token": "indent with spaces, and quote strings that start with @, ` or %",
    "mapping values are not allowed": "quote a string that contains a colon, or indent the line like its neighbours",
    "undefined alias": "quote a string that starts with *",
    "expected ',' or '}'": "close the { or separate its entries with commas",
    "expected ',' or ']'": "close the [ or separate its entries with commas",
    "another document": "keep one document per file: remove the line ---",
    "could not find expected ':'": "write `key: value`, or indent the text under its key",
    "unexpected end of stream": "close the quotes",
    "expected alphabetic or numeric character": "quote a string that starts with * or &",
    "did not find expected key": "indent the line like its neighbours, or close the bracket or quote above",
    "expected '-' indicator": "use either a list of `- x` or a mapping of `key: value`",
    "unknown escape": "use single quotes, in which a backslash is a plain character",
}
"""Words of a YAML parser error to the usual fix."""


def _check_depth(text: str, document: Document, file: str) -> None:
    """Reject deep nesting before composing, which recurses (in C without any limit)."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_large(document, f"{MAX_DEPTH} levels", event.start_mark, file)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_large(document: Document, limit: str, at: Any, file: str) -> UserError:
    """The error for a limit exceeded at one of the parser's marks."""
    place = Place(file, at.line + 1, at.column + 1)
    cause = f"more than {limit} (counting aliases)"
    return UserError(Diagnostic("E105", cause, "simplify the spec", place, document.excerpt(place)))


def parse_value(text: str, shown_as: str) -> Any:
    """The value of `--set a.b=VALUE`: YAML 1.2, including flow collections. Raises `UserError` E102, E105."""
    try:
        document = parse_yaml(f"value: {text}", shown_as)
        if document.errors:
            raise UserError(*document.errors)
    except UserError as error:
        found = error.diagnostics[0]
        raise UserError.of(found.code, found.cause, "quote the value", Place(shown_as)) from None
    if len(document.data) > 1:
        raise UserError.of("E102", "the value must be a single line of YAML", "quote the value", Place(shown_as))
    return document.data["value"]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # pyright: ignore[reportGeneralTypeIssues]
    """Assigns no implicit tags: `_scalar` interprets plain scalars, and only tags in the file become tags."""

    def resolve(self, kind: type, value: Any, implicit: Any) -> None:
        return None


class _Builder:
    """Converts YAML nodes to values; errors go to the document."""

    def __init__(self, document: Document, file: str, braces: dict[int, str]):
        self.document, self.file, self.braces = document, file, braces
        self.count = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.count += 1
        place = Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)
        if self.count > MAX_NODES or len(path) > MAX_DEPTH:
            limit = f"{MAX_NODES} values" if self.count > MAX_NODES else f"{MAX_DEPTH} levels"
            raise _too_large(self.document, limit, node.start_mark, self.file)
        self.document.places[path] = place
        if node.tag:
            cause, remedy = f"YAML tags such as '{node.tag}' are not allowed", "quote a number to make it a string"
            return self._error("E102", cause, remedy, place)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        text = node.value.translate(self.braces)
        if node.style:
            return text
        if len(text) > MAX_DIGITS and _FLOAT.fullmatch(text):
            return self._error(
                "E105", f"a number of more than {MAX_DIGITS} digits", "quote it if it is a string", place
            )
        return _scalar(text)

    def _error(self, code: str, cause: str, remedy: str, place: Place) -> Any:
        self.document.errors.append(Diagnostic(code, cause, remedy, place, self.document.excerpt(place)))
        return UNRESOLVED

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[Key, Any]:
        result: dict[Key, Any] = {}
        for key_node, value_node in node.value:
            place = Place(self.file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag:
                self._error("E102", "a key must be a plain string", "quote it or give it a name", place)
                continue
            key = self._key(key_node)
            if key in result:
                first = self.document.key_places[(*path, key)]
                self._error("E103", f"key '{key}' is defined twice (first at {first})", "remove one of the two", place)
                continue
            self.document.key_places[(*path, key)] = place
            result[key] = self.value(value_node, (*path, key))
        return result

    def _key(self, node: yaml.ScalarNode) -> Key:
        """Keys are strings, except for integers (bins of a histogram)."""
        whole = not node.style and len(node.value) <= MAX_DIGITS and _INT.fullmatch(node.value)
        return int(node.value) if whole else node.value.translate(self.braces)


def _scalar(text: str) -> Any:
    """A plain scalar by the YAML 1.2 core schema."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        return int(text)
    if _HEX_OR_OCTAL.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.lower().replace(".", "", 1))
    return text
