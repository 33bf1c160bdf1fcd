"""User errors: a code, a place, a cause and a remedy; several at once; never a traceback.

`UserError` is the one class for everything the user can mend. A defect of ours stays an ordinary exception.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_EXCERPT = 120
"""Characters of a line that an excerpt shows."""
_CHOICES = 20
"""Choices that a remedy lists."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file the user wrote something; line and column count from 1."""

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
    """One thing that is wrong, as the user reads it."""

    code: str
    """Stable identifier, such as `E104`."""
    cause: str
    """What is wrong, in one sentence without a full stop."""
    remedy: str = ""
    """What to do about it; one made by `near` carries the choices."""
    place: Place | None = None
    excerpt: str = ""
    """The source line with a caret line under it, or nothing."""
    used_at: Place | None = None
    """Where the value is used, if it is written elsewhere and came there by `${...}` or by its name."""

    def __str__(self) -> str:
        head = f"{self.place} " if self.place else ""
        text = f"{head}{self.code} {self.cause}"
        if self.remedy:
            text += f"; {self.remedy}"
        if self.used_at:
            text += f" (used at {self.used_at})"
        if self.excerpt:
            text += "\n" + self.excerpt
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)  # what a file holds drives no terminal

    def as_json(self) -> dict:
        """All of it; `choices` and `used_at` only where there are any."""
        found = {"code": self.code, **(self.place or Place("")).as_json(), "excerpt": self.excerpt}
        found |= {"cause": self.cause, "remedy": str(self.remedy)}
        if isinstance(self.remedy, Choices):
            found["choices"] = list(self.remedy.choices)
        if self.used_at:
            found["used_at"] = self.used_at.as_json()
        return found


class UserError(Exception):
    """One or more diagnostics that the user can mend; the program ends with exit code 2."""

    def __init__(self, *diagnostics: Diagnostic):
        super().__init__("\n".join(str(d) for d in diagnostics))
        self.diagnostics = list(diagnostics)

    @classmethod
    def of(cls, code: str, cause: str, remedy: str = "", place: Place | None = None) -> "UserError":
        """The common case: one diagnostic."""
        return cls(Diagnostic(code, cause, remedy, place))


class Choices(str):
    """A remedy in words that carries what there is to choose from, for `Diagnostic.as_json`."""

    def __new__(cls, text: str, choices: Iterable[str] = ()) -> "Choices":
        remedy = super().__new__(cls, text)
        remedy.choices = tuple(choices)
        return remedy

    choices: tuple[str, ...]


def near(name: Any, choices: Iterable[Any]) -> str:
    """A remedy: the nearest choice where one is near, else the choices there are."""
    names = sorted({str(choice) for choice in choices})
    if close := difflib.get_close_matches(str(name), names, n=1, cutoff=0.6):
        return Choices(f"did you mean '{close[0]}'?", names)
    more = f", … ({len(names) - _CHOICES} more)" if len(names) > _CHOICES else ""
    return Choices(f"choices: {', '.join(names[:_CHOICES])}{more}", names) if names else ""


def excerpt(line: str, column: int) -> str:
    """A source line with a caret under the column, for `Diagnostic.excerpt`; of a long line, what surrounds it."""
    start = max(0, column - _EXCERPT // 2) if len(line) > _EXCERPT else 0
    shown = line[start : start + _EXCERPT].rstrip()
    return f"    {shown}\n    {' ' * (column - 1 - start)}^"


def shown(path: Path) -> str:
    """A path as messages show it: relative to the working folder where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
