r"""The steps and moves of a response in a step format: which of its paragraphs are steps, and where the others lead.

Beside the words of a template, plain English for going back is understood, since a chat model that was never trained on
traces corrects itself, too: "Wait, that's not right. Let's go back to step 2."
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

from astro_factory.core.step_format import Piece, StepFormat, is_unfinished

Kind = Literal["step", "jump", "words", "answer"]

_WILL = r"(?:'ll| will| should| must| need to| have to)"
_SUBJECT = rf"\b(?:let(?:'s| us| me)|i{_WILL}|we{_WILL})\s+(?:now\s+|just\s+)?"
_GO_BACK = re.compile(_SUBJECT + r"(?:go back|return|backtrack|come back|step back)\b", re.IGNORECASE)
_RESTART = re.compile(
    _SUBJECT + r"(?:start (?:over|again|afresh|from)|restart|begin again|try (?:again|another|a different))",
    re.IGNORECASE,
)
_REDO = re.compile(
    r"\b(?:redo|re-do|recompute|recalculate|rework|correct|fix|revise|(?:mistake|error|slip) (?:is |was )?in)"
    r"\s+step\s+(\d{1,9})",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"\W*+(?:so|thus|therefore|hence)?\W*+(?:the|our)?\s*+(?:final )?answer\b", re.IGNORECASE)
_DOUBT = re.compile(r"(?:but )?(?:wait|hold on|hmm+|hang on|oops)\b", re.IGNORECASE)
_STEP_NUMBER = re.compile(r"\bstep\s+(\d{1,9})", re.IGNORECASE)
_BEGINNING = re.compile(r"\b(?:beginning|start|scratch|original|(?:statement of the |the )problem)\b", re.IGNORECASE)
_ONE_BACK = re.compile(r"\b(?:previous|last) step\b|\bone step\b", re.IGNORECASE)
_QUOTE = re.compile(r'[^"“]*+["“](.+)["”]', re.DOTALL)
_NOISE = re.compile(r"\\[\[\]()]|[$*#&\"'“”]|\.\.\.")
_TOKENS = re.compile(r"\w+|[^\w\s]")


class Item(NamedTuple):
    """A step, or what stands between steps."""

    kind: Kind
    text: str
    number: int | None = None
    """The number that a step shows."""
    start: int = 0
    """Where it begins in the response."""


class Words(NamedTuple):
    """What tells the words of a template; each returns where its words end, or None."""

    jump: Callable[[str], int | None]
    any: Callable[[str], int | None]


def items_of(response: str, steps: StepFormat, words: Words) -> list[Item]:
    """The steps of a response with the words between them, in order."""
    found: list[tuple[list[Piece], Kind]] = []
    blocks = steps.blocks(response)
    for place, block in enumerate(blocks):
        kind = _kind(block, words)
        is_last, after_words = place == len(blocks) - 1, bool(found) and found[-1][1] == "words"
        if kind == "step" and is_last and after_words and _ANSWER.match(block.text):
            kind = "answer"
        if kind == "step" and found and found[-1][1] == "step" and _goes_on(found[-1][0], block, steps):
            found[-1][0].append(block)
            continue
        if kind == "step" and steps.has_markers and block.number is None:
            kind = "words"  # an introduction, or a remark after a reflection
        found.append(([block], kind))
    return [Item(kind, _joined(response, blocks), blocks[0].number, blocks[0].start) for blocks, kind in found]


def _joined(response: str, blocks: Sequence[Piece]) -> str:
    """The text of several blocks with what stands between them."""
    between = (response[one.end : other.start] + other.text for one, other in pairwise(blocks))
    return "".join([blocks[0].text, *between])


def _kind(block: Piece, words: Words) -> Kind:
    if block.number is not None:
        return "step"
    if words.jump(block.text) is not None or any(marker.search(block.text) for marker in (_GO_BACK, _RESTART, _REDO)):
        return "jump"
    return "words" if words.any(block.text) is not None or _DOUBT.match(block.text.lstrip("*_ ")) else "step"


def _goes_on(step: Sequence[Piece], block: Piece, steps: StepFormat) -> bool:
    return block.number is None if steps.has_markers else is_unfinished(step)


class Target(NamedTuple):
    """Where a jump leads."""

    how: Literal["after_step", "before_step", "quote", "beginning", "one_back", "unknown"]
    number: int = 0
    quote: str = ""


def target_of(text: str, words: Words) -> Target:
    """What the words of a jump name."""
    if redo := _REDO.search(text):
        return Target("before_step", int(redo[1]))
    end = words.jump(text)
    if end is None:
        found = _GO_BACK.search(text) or _RESTART.search(text)
        assert found is not None, "a jump has its words"
        end = found.start()
    rest = text[max(0, end - len("step ")) :]  # the words of a template may end with "step"
    if number := _STEP_NUMBER.search(rest):
        return Target("after_step", int(number[1]))
    if quote := _QUOTE.match(rest):
        return Target("quote", quote=quote[1])
    if _ONE_BACK.search(rest):
        return Target("one_back")
    if _BEGINNING.search(rest) or _RESTART.search(text) or not rest[len("step ") :].strip(" ."):
        return Target("beginning")
    return Target("unknown")


def is_said_in(quote: str, step: str) -> bool:
    """Whether a step has these words, whatever the signs around its formulas."""
    wanted = _plain(quote)
    return wanted != "  " and wanted in _plain(step)


def latest(states: Iterable[int], texts: Sequence[str], quote: str) -> int | None:
    """The first of some states, latest first, whose step has these words."""
    return next((state for state in states if is_said_in(quote, texts[state])), None)


@lru_cache(maxsize=1 << 14)  # a text that goes back often names the same states repeatedly
def _plain(text: str) -> str:
    """The tokens that count, each between two spaces."""
    return f" {' '.join(t for t in _TOKENS.findall(_NOISE.sub(' ', text)) if t not in ('.', ',', ':', ';'))} "
