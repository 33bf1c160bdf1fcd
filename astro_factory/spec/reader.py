"""YAML 1.2 through PyYAML's node graph: plain values, and the place of every key and value.

PyYAML's own constructors read YAML 1.1 (`no` is false, `010` is 8, `1e-5` is text) and drop duplicate keys, so only its
parser is used. A path is a tuple of keys and list indices, as in `("stages", "trees", "policy")`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from astro_factory.core.errors import Diagnostic, Place, UserError, excerpt

Path_ = tuple[str | int, ...]

UNRESOLVED = object()
"""Stands in a value for a name that means nothing, so that checking can go on; its error is known already."""

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_NODES = 100_000
MAX_DIGITS = 400
"""Of a number; Python's own integers stop at 4300 digits."""

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_HEX_OR_OCTAL = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass
class Document:
    """A mapping read from YAML with the place of everything in it."""

    data: dict[str, Any]
    places: dict[Path_, Place] = field(default_factory=dict)
    """Place of the value at a path."""
    key_places: dict[Path_, Place] = field(default_factory=dict)
    """Place of the key that the path ends with."""
    lines: dict[str, list[str]] = field(default_factory=dict)
    """Source lines of each file, for excerpts."""
    origins: dict[Path_, Path_] = field(default_factory=dict)
    """Path of a value that came by `${...}` to the path where it is written."""

    def place(self, path: Path_, *, key: bool = False) -> Place | None:
        """The nearest known place at or above a path."""
        table = self.key_places if key else self.places
        if key and path in table:
            return table[path]
        while path:
            if path in self.places:
                return self.places[path]
            path = path[:-1]
        return self.places.get(())

    def excerpt(self, place: Place | None) -> str:
        """The source line of a place with a caret under the column."""
        if place is None or not 0 < place.line <= len(self.lines.get(place.file, ())):
            return ""
        return excerpt(self.lines[place.file][place.line - 1], place.column)

    def diagnose(self, code: str, path: Path_, cause: str, remedy: str = "", *, key: bool = False) -> Diagnostic:
        place = self.place(path, key=key)
        return Diagnostic(code, cause, remedy, place, self.excerpt(place))


def read_yaml(path: Path, shown_as: str) -> Document:
    """Read a YAML file whose top is a mapping. Raises `UserError` E101 (cannot be read), E102 (not YAML), E103
    (duplicate key), E105 (limits)."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError.of("E101", f"cannot read '{shown_as}': {reason}", "check the path") from None
    if len(raw) > MAX_BYTES:
        raise UserError.of("E105", f"'{shown_as}' is larger than {MAX_BYTES} bytes", "split it with `include:`")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError.of("E102", f"'{shown_as}' is not UTF-8 (byte {error.start})", "save it as UTF-8") from None
    return parse_yaml(text, shown_as)


_REFERENCE = re.compile(r"\$\{([\w .-]*)\}")
_OPEN, _CLOSE = "\ue000", "\ue001"
"""Stand in for the braces of `${...}` while YAML is parsed, which would take them for a flow mapping. One character
each, so that columns stay right."""


def _hide_references(text: str) -> str:
    return _REFERENCE.sub(lambda match: f"${_OPEN}{match[1]}{_CLOSE}", text)


def _show_references(text: str) -> str:
    return text.replace(_OPEN, "{").replace(_CLOSE, "}") if _OPEN in text else text


def parse_yaml(text: str, shown_as: str) -> Document:
    """`read_yaml` for a text at hand."""
    document = Document({}, places={(): Place(shown_as, 1, 1)}, lines={shown_as: text.splitlines()})
    hidden = _hide_references(text)
    try:
        _check_depth(hidden, document, shown_as)
        root = yaml.compose(hidden, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(shown_as, mark.line + 1, mark.column + 1) if mark else Place(shown_as)
        said = " ".join(filter(None, (error.context, error.problem)))
        cause = f"not valid YAML: {said}"
        raise UserError(Diagnostic("E102", cause, "mend the line", place, document.excerpt(place))) from None
    except yaml.YAMLError as error:
        cause = f"not valid YAML: {str(error).splitlines()[0]}"
        raise UserError.of("E102", cause, "remove the character", Place(shown_as)) from None
    builder = _Builder(document, shown_as)
    data = builder.value(root, ()) if root is not None else {}
    if not builder.errors and not isinstance(data, dict):
        builder.errors.append(
            document.diagnose("E106", (), "a spec is a mapping of sections", "begin with `factory: 1`")
        )
    if builder.errors:
        raise UserError(*builder.errors)
    document.data = data
    return document


def _check_depth(text: str, document: Document, file: str) -> None:
    """Refuse what is nested too deeply before it is composed: that recurses, in C without any limit."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_large(document, f"{MAX_DEPTH} levels", event, file)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_large(document: Document, limit: str, at: yaml.Node | yaml.Event, file: str) -> UserError:
    place = Place(file, at.start_mark.line + 1, at.start_mark.column + 1)
    cause = f"more than {limit} (aliases counted)"
    return UserError(Diagnostic("E105", cause, "simplify the spec", place, document.excerpt(place)))


def parse_value(text: str, shown_as: str) -> Any:
    """A value as `--set a.b=VALUE` writes it: YAML 1.2, flow collections included."""
    try:
        return parse_yaml(f"value: {text}", shown_as).data["value"]
    except UserError as error:
        found = error.diagnostics[0]
        raise UserError.of(found.code, found.cause, "quote the value", Place(shown_as)) from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Leaves what a plain text means to `_scalar`, so that a tag stands only where the spec writes one."""

    def resolve(self, kind: type, value: Any, implicit: Any) -> None:
        return None


class _Builder:
    """Turns nodes into values; collects the errors it meets."""

    def __init__(self, document: Document, file: str):
        self.document, self.file = document, file
        self.errors: list[Diagnostic] = []
        self.count = 0

    def value(self, node: yaml.Node, path: Path_) -> Any:
        self.count += 1
        place = Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)
        if self.count > MAX_NODES or len(path) > MAX_DEPTH:
            limit = f"{MAX_NODES} values" if self.count > MAX_NODES else f"{MAX_DEPTH} levels"
            raise _too_large(self.document, limit, node, self.file)
        self.document.places[path] = place
        if node.tag:
            self._error(
                "E102", f"a spec has no YAML tags such as '{node.tag}'", "quote a number to make it text", place
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        if not node.style and len(node.value) > MAX_DIGITS and _FLOAT.fullmatch(node.value):
            self._error("E105", f"a number of more than {MAX_DIGITS} digits", "quote it if it is text", place)
            return None
        return _scalar(node)

    def _error(self, code: str, cause: str, remedy: str, place: Place) -> None:
        self.errors.append(Diagnostic(code, cause, remedy, place, self.document.excerpt(place)))

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            place = Place(self.file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key is None:
                self._error("E102", "a key must be plain text", "put the value in quotes or give it a name", place)
                continue
            key = _key(key_node)
            if key in result:
                first = self.document.key_places[(*path, key)]
                self._error("E103", f"key '{key}' is defined twice (first at {first})", "remove one of the two", place)
                continue
            self.document.key_places[(*path, key)] = place
            result[key] = self.value(value_node, (*path, key))
        return result


def _key(node: yaml.ScalarNode) -> Any:
    """Keys are text, but for whole numbers (a histogram's bins)."""
    whole = not node.style and len(node.value) <= MAX_DIGITS and _INT.fullmatch(node.value)
    return int(node.value) if whole else _show_references(node.value)


def _scalar(node: yaml.ScalarNode) -> Any:
    """The YAML 1.2 core schema."""
    text = _show_references(node.value)
    if node.style:
        return text
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
