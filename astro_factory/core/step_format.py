r"""What a step of a solution is: how a text splits into steps, and how steps are joined, numbered and stopped at.

One `StepFormat` is shared by the search (prompts, stop strings, splitting samples), the traces (joining, numbering) and
the parser of responses:

    steps: {format: line}          # each line
    steps: {format: blank_line}    # each paragraph
    steps: {format: heading}       # `## Step 1: …`, each with all that follows up to the next heading
    steps: {format: numbered}      # `1. …`, likewise

Formulas (`\[ … \]`, `$$ … $$`, `\begin … \end`), code fences and tables are never split. A line or paragraph that ends
with a colon or a comma, and a title, continue in the next one.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from string import ascii_letters
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import Field, model_validator

from astro_factory.core.config import Config, Definition

_MARKERS = {"heading": "## Step {n}:", "numbered": "{n}."}
_NUMBER = "{n}"
_REGIONS = re.compile(
    r"^[ \t]*(?P<fence>```|~~~)|(?P<open>\\\[|\$\$|\[asy\])"
    r"|\\begin\{(?P<name>align|aligned|alignat|equation|gather|gathered|multline|split|eqnarray|array|cases|tabular"
    r"|[pbBvV]?matrix)(?P<star>\*?)\}",
    re.MULTILINE,
)
_CLOSING = {r"\[": r"\]", "$$": "$$", "[asy]": "[/asy]"}
_BREAK = re.compile(r"\n")
_BLANK = re.compile(r"\n[ \t]*(?=\n)")
_BLANK_LINE = re.compile(r"[ \t]*(?:\n|$)")
_TITLE = re.compile(r"#{1,6} [^\n]*|\*\*[^*\n]+\*\*:?")
_OWN_LINES = ("```", "~~~", "|")
"""Starts of a code fence and a table, which begin a line."""
_ENDS_OF_PARAGRAPHS = ".!?;])}$`|0123456789"
_ENDS_OF_LINES = ".!?;])`'\"0123456789" + ascii_letters
"""Characters before a line break that ends a step. A sample that stops at none of them is cut when it is parsed."""


class Piece(NamedTuple):
    """A step, or a part of a text that may be one."""

    text: str
    """Without the marker and surrounding white space."""
    start: int
    end: int
    """Characters of the whole text, with the marker."""
    number: int | None = None
    """The number that its marker has."""


class StepLayout(Protocol):
    """How steps stand in a text."""

    @property
    def separator(self) -> str:
        """What stands between two steps."""
        ...

    @property
    def has_markers(self) -> bool:
        """Whether steps show their numbers."""
        ...

    def write(self, text: str, number: int) -> str:
        """A step as it stands in a text, without the separator."""
        ...

    def split(self, text: str) -> list[Piece]:
        """The steps of a text. With markers, one without a number is what stands before the first marker."""
        ...

    def stops(self, following: int) -> tuple[str, ...]:
        """Strings that end a sample of one step; `following` is the number of the next one."""
        ...


class StepFormat(Config):
    """How steps are written."""

    format: Literal["line", "blank_line", "heading", "numbered"]
    """What a step is: a line, a paragraph (`blank_line`), a section with a heading, or an item of a numbered list."""
    pattern: str | None = Field(default=None, max_length=100)
    """Start of a step for `heading` and `numbered`, with `{n}` for its number. Default: `## Step {n}:` and `{n}.`;
    these also match other usual spellings, such as `**Step 1.**` and `1)`."""

    @model_validator(mode="after")
    def _has_a_number(self) -> "StepFormat":
        if self.pattern is None:
            return self
        if not self.has_markers:
            raise ValueError(f"format: {self.format} has no 'pattern'; use format heading or numbered")
        if self.pattern.count(_NUMBER) != 1 or "\n" in self.pattern or self.pattern != self.pattern.strip():
            raise ValueError(f"'pattern' is the start of a step's first line, with {_NUMBER} once")
        return self

    @property
    def has_markers(self) -> bool:
        """Whether steps show their numbers."""
        return self.format in _MARKERS

    @property
    def separator(self) -> str:
        return "\n" if self.format == "line" else "\n\n"

    def write(self, text: str, number: int) -> str:
        if not self.has_markers:
            return text
        gap = "\n" if text.startswith(_OWN_LINES) else " "
        return self._marker.replace(_NUMBER, str(number)) + gap + text

    def join(self, steps: Iterable[str]) -> str:
        """The text of a whole solution."""
        return self.separator.join(self.write(text, number) for number, text in enumerate(steps, start=1))

    def split(self, text: str) -> list[Piece]:
        found: list[list[Piece]] = []
        for block in self.blocks(text):
            if found and (block.number is None if self.has_markers else is_unfinished(found[-1])):
                found[-1].append(block)
            else:
                found.append([block])
        return [
            self._piece(text, blocks[0].start, blocks[-1].end, blocks[0].number) if len(blocks) > 1 else blocks[0]
            for blocks in found
        ]

    def blocks(self, text: str) -> list[Piece]:
        """The lines or paragraphs of a text, and a new one at each marker; formulas, code and tables are whole."""
        found: list[Piece] = []
        latest: int | None = None
        for start, end in self._spans(text):
            number = self._number_at(text, start, is_first=not found)
            if number is not None and not self._in_order(number, latest, found):
                number = None
            latest = latest if number is None else number
            found.append(self._piece(text, start, end, number))
        return found

    def stops(self, following: int) -> tuple[str, ...]:
        if self.format == "line":
            return tuple(f"{char}\n" for char in _ENDS_OF_LINES)
        if self.format == "blank_line":
            return tuple(f"{char}\n\n" for char in _ENDS_OF_PARAGRAPHS)
        if self.pattern is not None:
            return ("\n" + self.pattern.replace(_NUMBER, str(following)),)
        if self.format == "heading":
            return tuple(f"\n{before}Step {following}" for before in ("## ", "### ", "**", ""))
        return tuple(f"\n{before}{following}{after}" for before in ("", "**") for after in (".", ")"))

    def is_step(self, sample: str, stopped: bool) -> bool:
        """Whether a sample shows where a step ends: by a marker, by a second step, or because it stopped there."""
        pieces = self.split(sample)
        if self.has_markers:
            return any(piece.number is not None for piece in pieces)
        return stopped or len(pieces) > 1

    def is_open(self, text: str) -> bool:
        """Whether a text ends where its last step has to go on: in a formula, or after a colon."""
        return self.open_from(text) is not None

    def open_from(self, text: str) -> int | None:
        """Where the step begins that has to go on after the end of a text; None where it may end there."""
        opening = _opening(text)
        if opening is None and (self.has_markers or not continues(text.strip())):
            return None
        place = len(text.rstrip()) - 1 if opening is None else opening
        return next((piece.start for piece in self.split(text) if piece.start <= place < piece.end), place)

    @cached_property
    def _marker(self) -> str:
        return self.pattern or _MARKERS[self.format]

    @cached_property
    def _marker_pattern(self) -> re.Pattern[str]:
        if self.pattern is not None:
            before, after = (re.escape(part).replace(r"\ ", r"[ \t]+") for part in self.pattern.split(_NUMBER))
            return re.compile(rf"{before}(\d{{1,4}}){after}[ \t]*")
        if self.format == "heading":
            return re.compile(
                r"(?:#{1,6}[ \t]+)?\*{0,2}Step[ \t]+(\d{1,4})(?!\d)(?:\*\*)?[ \t]*(?:[:.)\u2013\u2014-]|$)[ \t]*", re.M
            )
        return re.compile(r"\*{0,2}(\d{1,4})[.)](?:\*\*)?(?:[ \t]+|$)", re.M)

    def _number_at(self, text: str, start: int, is_first: bool) -> int | None:
        """The number of the marker at this place, which begins a line or the text."""
        if not self.has_markers or not (is_first or text[start - 1] == "\n"):
            return None
        found = self._marker_pattern.match(text, start)
        return int(found[1]) if found else None

    def _in_order(self, number: int, latest: int | None, before: Sequence[Piece]) -> bool:
        """Whether a marker begins a step. A list inside a step does not count on from the step before, unless words of
        their own stand between the two: then the text has gone back."""
        if self.format == "heading" or latest is None or number == latest + 1:
            return True
        return before[-1].number is None and not continues(before[-1].text)

    def _piece(self, text: str, start: int, end: int, number: int | None) -> Piece:
        if number is None:
            return Piece(text[start:end].strip(), start, end)
        marker = self._marker_pattern.match(text, start)
        assert marker is not None
        rest = text[marker.end() : end].strip()
        if marker[0].count("**") % 2:  # the bold title that the marker is in
            rest = rest.replace("**", "", 1).strip()
        return Piece(rest, start, end, number)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each block, without surrounding white space."""
        cuts = set(self._cuts(text))
        start = 0
        for cut in (*sorted(cuts), len(text)):
            inside = text[start:cut]
            if inside.strip():
                yield start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())
            start = cut

    def _cuts(self, text: str) -> Iterator[int]:
        regions = iter(_regions(text))
        region = next(regions, None)
        pattern = _BREAK if self.format == "line" or self.has_markers else _BLANK
        for found in pattern.finditer(text):
            place = found.start()
            while region is not None and region[1] <= place:
                region = next(regions, None)
            if region is not None and region[0] <= place:
                continue
            if self.format == "line":
                if not _in_table(text, place):
                    yield place
            elif (
                self.format == "blank_line"
                or self._marker_pattern.match(text, place + 1)
                or _BLANK_LINE.match(text, place + 1)
            ):
                yield place


StepsField = Annotated[StepFormat, Definition("step_formats")]
"""A name from `step_formats:`, or the mapping itself."""


class Delimiter:
    """Steps that end with a string, wherever it stands."""

    has_markers = False

    def __init__(self, separator: str):
        self.separator = separator

    def write(self, text: str, number: int) -> str:
        return text

    def split(self, text: str) -> list[Piece]:
        found, start = [], 0
        for part in text.split(self.separator):
            found.append(Piece(part.strip(), start, start + len(part)))
            start += len(part) + len(self.separator)
        return found

    def stops(self, following: int) -> tuple[str, ...]:
        return (self.separator,)


LINES = Delimiter("\n")


def written(layout: StepLayout, steps: Sequence[str], closing: str = "") -> str:
    """The text of a path."""
    parts = [layout.write(text, number) for number, text in enumerate(steps, start=1)]
    return layout.separator.join([*parts, closing] if closing else parts)


def continues(block: str) -> bool:
    """Whether a line or paragraph goes on in the next one: a title, or one that ends with a colon or a comma."""
    return _ends_open(block) or _TITLE.fullmatch(block.rstrip()) is not None


def is_unfinished(blocks: Sequence[Piece]) -> bool:
    """`continues` for lines or paragraphs that were joined: several are no title."""
    return _ends_open(blocks[-1].text) if len(blocks) > 1 else continues(blocks[0].text)


def _ends_open(block: str) -> bool:
    return block.rstrip("*_ \t").endswith((":", ","))


def _regions(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each formula, code fence and drawing on several lines; one that never ends is none."""
    position = 0
    closings: dict[str, int] = {}  # the next place of each, so that no text is searched twice; -1 where there is none
    while (found := _REGIONS.search(text, position)) is not None:
        position = found.end()
        closing = _closing(found)
        if 0 <= closings.get(closing, 0) < position:
            closings[closing] = text.find(closing, position)
        if closings[closing] < 0:
            continue
        end = closings[closing] + len(closing)
        between = {"$$": "\n\n", r"\[": r"\["}.get(found["open"])
        if between and text.find(between, position, end) >= 0:
            continue  # the end of this formula is missing, and this is the end of another one
        yield found.start(), end
        position = end


def _closing(found: re.Match[str]) -> str:
    if found["fence"]:
        return "\n" + found["fence"]
    return _CLOSING[found["open"]] if found["open"] else rf"\end{{{found['name']}{found['star']}}}"


def _opening(text: str) -> int | None:
    """The start of a formula or code fence that a text opens and does not close."""
    end = max((end for _, end in _regions(text)), default=0)
    found = _REGIONS.search(text, end)
    return found.start() if found else None


def _in_table(text: str, place: int) -> bool:
    """Whether the line break at this place is between two rows of a table."""
    return text.startswith("|", place + 1) and text.startswith("|", text.rfind("\n", 0, place) + 1)
