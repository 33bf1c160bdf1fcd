"""User errors: a code, a place, a cause and a remedy; several at once; no traceback.

`UserError` is the one class for every mistake the user can fix. A bug in this package stays an ordinary exception.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from astro_factory.core.urls import hide_credentials

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_EXCERPT = 120
"""Longest excerpt of a line, in characters."""
_CHOICES = 20
"""Most choices that a remedy lists."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file that the user wrote. Line and column start at 1; line 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"

    def as_json(self) -> dict:
        return {"file": self.file, "line": self.line, "column": self.column}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error or warning as shown to the user."""

    code: str
    """Stable identifier, such as `E104`."""
    cause: str
    """What is wrong, in one sentence without a full stop."""
    remedy: str = ""
    """How to fix it. A remedy from `near` also carries the choices."""
    place: Place | None = None
    excerpt: str = ""
    """The source line with a caret line under it, or nothing."""
    used_at: Place | None = None
    """Where the value is used, if it is written elsewhere and got here by `${...}`, `like` or its name."""

    def __str__(self) -> str:
        head = f"{self.place} " if self.place else ""
        text = f"{head}{self.code} {self.cause}"
        if self.remedy:
            text += f"; {self.remedy}"
        if self.used_at:
            text += f" (used at {self.used_at})"
        if self.excerpt:
            text += "\n" + self.excerpt
        return _CONTROL.sub(
            lambda found: f"\\x{ord(found[0]):02x}", text
        )  # control characters from a file must not reach the terminal

    def as_json(self) -> dict:
        """All fields; `choices` and `used_at` only if there are any."""
        found = {"code": self.code, **(self.place or Place("")).as_json(), "excerpt": self.excerpt}
        found |= {"cause": self.cause, "remedy": str(self.remedy)}
        if isinstance(self.remedy, Choices):
            found["choices"] = list(self.remedy.choices)
        if self.used_at:
            found["used_at"] = self.used_at.as_json()
        return found


class UserError(Exception):
    """One or more diagnostics of mistakes that the user can fix."""

    exit_code: ClassVar[int] = 2
    """The exit code of the program."""

    def __init__(self, *diagnostics: Diagnostic):
        super().__init__("\n".join(str(d) for d in diagnostics))
        self.diagnostics = list(diagnostics)

    @classmethod
    def of(cls, code: str, cause: str, remedy: str = "", place: Place | None = None) -> Self:
        """The common case: one diagnostic."""
        return cls(Diagnostic(code, cause, remedy, place))


class Choices(str):
    """A remedy that also carries the possible choices, for `Diagnostic.as_json`."""

    def __new__(cls, text: str, choices: Iterable[str] = ()) -> "Choices":
        remedy = super().__new__(cls, text)
        remedy.choices = tuple(choices)
        return remedy

    choices: tuple[str, ...]


def did_you_mean(name: Any, names: Sequence[str]) -> str:
    """A remedy: the closest of the names; empty if none is similar."""
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def near(name: Any, choices: Iterable[Any]) -> str:
    """A remedy: the closest choice if one is similar to `name`, else the list of choices."""
    names = sorted({str(choice) for choice in choices})
    if similar := did_you_mean(name, names):
        return Choices(similar, names)
    more = f", … ({len(names) - _CHOICES} more)" if len(names) > _CHOICES else ""
    return Choices(f"choices: {', '.join(names[:_CHOICES])}{more}", names) if names else ""


def excerpt(line: str, column: int) -> str:
    """A source line with a caret under the column, for `Diagnostic.excerpt`; long lines are cut around the column.

    Credentials and queries in URLs read as asterisks.
    """
    line = hide_credentials(line)
    start = max(0, column - _EXCERPT // 2) if len(line) > _EXCERPT else 0
    shown = line[start : start + _EXCERPT].rstrip()
    return f"    {shown}\n    {' ' * (column - 1 - start)}^"


def shown(path: Path) -> str:
    """A path as messages show it: relative to the working directory if it is below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, RuntimeError):  # it is elsewhere, or a link to itself
        return str(path)
