"""User errors: a code, a place, a cause and a remedy; several at once; never a traceback.

`UserError` is the one class for everything the user can mend. A defect of ours stays an ordinary exception.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong, as the user reads it."""

    code: str
    """Stable identifier, such as `E104`."""
    cause: str
    """What is wrong, in one sentence without a full stop."""
    remedy: str = ""
    """What to do about it."""
    place: Place | None = None
    excerpt: str = ""
    """The source line with a caret line under it, or nothing."""

    def __str__(self) -> str:
        head = f"{self.place} " if self.place else ""
        text = f"{head}{self.code} {self.cause}"
        if self.remedy:
            text += f"; {self.remedy}"
        if self.excerpt:
            text += "\n" + self.excerpt
        return text

    def as_json(self) -> dict:
        place = self.place or Place("")
        return {
            "code": self.code,
            "file": place.file,
            "line": place.line,
            "column": place.column,
            "cause": self.cause,
            "remedy": self.remedy,
        }


class UserError(Exception):
    """One or more diagnostics that the user can mend; the program ends with exit code 2."""

    def __init__(self, *diagnostics: Diagnostic):
        super().__init__("\n".join(str(d) for d in diagnostics))
        self.diagnostics = list(diagnostics)

    @classmethod
    def of(cls, code: str, cause: str, remedy: str = "", place: Place | None = None) -> "UserError":
        """The common case: one diagnostic."""
        return cls(Diagnostic(code, cause, remedy, place))


def near(name: Any, choices: Iterable[Any]) -> str:
    """A remedy: the nearest choice where one is near, else the choices there are."""
    names = sorted({str(choice) for choice in choices})
    if close := difflib.get_close_matches(str(name), names, n=1, cutoff=0.6):
        return f"did you mean '{close[0]}'?"
    more = f", … ({len(names) - _CHOICES} more)" if len(names) > _CHOICES else ""
    return f"choices: {', '.join(names[:_CHOICES])}{more}" if names else ""


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
