r"""The final answer of a response: in the last complete `\boxed{...}`, else in the last stated answer, else nowhere.

    >>> final_answer(r"so x = 3. The final answer is $\frac{1}{2}$. I hope it is right")
    '\\frac{1}{2}'

A number that merely stands last is not an answer: guessing there would reward a response that stopped early. Neither is
an answer that the text has given up by then (`GIVEN_UP`): a response that is cut off after it has none. This runs
in the caller's process on text that a model under training writes, so each function takes time linear in its input.
"""

import re
from collections import deque
from collections.abc import Iterator

MAX_CHARS = 2_000_000
"""Only so much of the end of a response is searched for boxes."""
MAX_STATED_CHARS = 100_000
"""Only so much of the end of a response is searched for other statements."""
_MAX_UNWRAPPED = 8_000
"""What is longer is refused later, with or without its delimiters."""
_MAX_ROUNDS = 40
GIVEN_UP = re.compile(
    r"\b(?:is|are|was|were|be) not the (?:right |correct |final )?answer\b"
    r"|\bI'm not sure if we're solving the problem correctly so far\b"
    r"|\bLet's (?:start again|restart our solution)\b"
    r"|\b(?:Let's go back to|Go back to where we)\b",
    re.IGNORECASE,
)
"""Words that take back all answers before them: those of the shipped templates that are written for prose."""
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[{}]|[{}]")
_BARE = re.compile(r"\\(?:boxed|fbox)[ \t]+([^\s{}$]+)")
_ANCHOR = re.compile(r"\banswer\b|####|<answer>", re.IGNORECASE)
_VERB = re.compile(r"[*_]{0,4}(?<!\s)\s*(?:is|are|was|will be|would be|should be|must be|:|=)(?!\w)", re.IGNORECASE)
_OBJECT = re.compile(r" to (?:the|this|your) (?=[a-z ])", re.IGNORECASE)
_OBJECT_END = re.compile(r"(?<=[a-z ])[*_]{0,4}\s{0,4}(?:\b(?:is|are|was|will|would|should|must)\b|:|=)", re.IGNORECASE)
_OBJECT_CHARS = 48
_CLOSE_TAG = re.compile("</answer>", re.IGNORECASE)
_BLANK = re.compile(r"\s*")
_SENTENCE_END = re.compile(
    r"[.!]\s+(?=[A-Z])|[.!]\s*$|(?:,|(?<![\s,]))\s+(?:since|because|as|so|which|where|when|for which)\s"
)
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"))


def final_answer(text: str) -> str:
    """The answer without its delimiters; empty where none is stated."""
    text = text[-MAX_CHARS:]
    text = text[max((mark.end() for mark in GIVEN_UP.finditer(text)), default=0) :]
    boxed = _last_boxed(text)
    if boxed.strip():
        return unwrap(boxed)
    if bare := _BARE.findall(text):
        return unwrap(bare[-1])
    last = next(iter(deque(_statements(text[-MAX_STATED_CHARS:]), maxlen=1)), "").strip()
    if _BOXED.search(last):  # a box that is empty or cut off
        return ""
    last = last.removesuffix("**") if last.count("**") % 2 else last  # `**Answer: 3**`
    return unwrap(_SENTENCE_END.split(last, maxsplit=1)[0])


def tagged_answer(text: str) -> str | None:
    """What stands between the last complete pair of `<answer>` and `</answer>`; None where there is none."""
    found, position = None, 0
    text = text[-MAX_CHARS:]
    while (start := text.find("<answer>", position)) >= 0:
        end = text.find("</answer>", start)
        if end < 0:
            break
        found = text[start + len("<answer>") : end].strip()
        position = end
    return found


def unwrap(answer: str) -> str:
    """An answer without the math delimiters, boxes, bold marks and closing full stop around it."""
    answer = answer.strip()
    if len(answer) > _MAX_UNWRAPPED:
        return answer
    for _ in range(_MAX_ROUNDS):
        before, answer = answer, answer.strip()
        if not answer.endswith("..."):
            answer = answer.removesuffix(".").strip()
        for left, right in _WRAPPERS:
            if answer.startswith(left) and answer.endswith(right):
                inner = answer[len(left) : -len(right)]
                answer = inner if inner and left not in inner else answer
        match = _BOXED.match(answer) if answer.startswith("\\") else None
        if match and _last_boxed(answer) == answer[match.end() : -1]:
            answer = answer[match.end() : -1]
        if answer == before:
            break
    return answer


def _last_boxed(text: str) -> str:
    """Content of the box that closes last; a box cut off by the end of the text is none."""
    opened: list[int | None] = []
    last = (0, 0)
    for match in _BRACES.finditer(text):
        if match[0].endswith("{") and match[0] != r"\{":
            opened.append(match.end() if len(match[0]) > 1 else None)
        elif match[0] == "}" and opened:
            start = opened.pop()
            if start is not None:
                last = start, match.start()
    return text[slice(*last)]


def _statements(text: str) -> Iterator[str]:
    """What follows "answer is", `####` or `<answer>`, up to the end of its line; a statement hides those in it."""
    lines, done = _Lines(text), 0
    for anchor in _ANCHOR.finditer(text):
        if anchor.start() < done:
            continue
        if anchor[0] == "####":
            start = lines.next_word(anchor.end())
        elif anchor[0].startswith("<"):
            found = lines.tagged(anchor.end())
            if found:
                done = found[1]
                yield text[found[0] : found[1]]
            continue
        else:
            start = _stated(text, anchor.end(), lines)
        if start is not None and start < len(text):
            done = lines.end_of(start)
            yield text[start:done]


def _stated(text: str, position: int, lines: "_Lines") -> int | None:
    """Where an answer starts behind the word "answer" and its verb; None where no verb follows."""
    if found := _OBJECT.match(text, position):  # the answer to the question is
        end = _OBJECT_END.search(text, found.end(), found.end() + _OBJECT_CHARS)
        words = text[found.end() : end.start()] if end else ""
        if words.replace(" ", "").isalpha():
            position = found.end() + len(words.rstrip())
    match = _VERB.match(text, position)
    if not match:
        return None
    start = lines.next_word(match.end())
    start = lines.next_word(start + 1) if text.startswith(":", start) else start
    if text.startswith("**", start) and text[start + 2 : start + 3].isspace():
        start = lines.next_word(start + 2)
    return start


class _Lines:
    """Ends of lines and next words, found from left to right so that nothing is searched twice."""

    def __init__(self, text: str):
        self._text = text
        self._end = self._word = self._word_from = -1
        self._closes = [match.span() for match in _CLOSE_TAG.finditer(text)]
        self._close = 0

    def end_of(self, position: int) -> int:
        """The end of the line that a position is in."""
        if self._end < position:
            found = self._text.find("\n", position)
            self._end = len(self._text) if found < 0 else found
        return self._end

    def next_word(self, position: int) -> int:
        """The next position that is no space."""
        if not self._word_from <= position <= self._word:
            match = _BLANK.match(self._text, position)
            self._word_from, self._word = position, match.end() if match else position
        return self._word

    def tagged(self, position: int) -> tuple[int, int] | None:
        """Start and end of a line between tags; None where the closing tag is on another line, or missing."""
        start = self.next_word(position)
        while self._close < len(self._closes) and self._closes[self._close][0] < start:
            self._close += 1
        if self._close == len(self._closes):
            return None
        close = self._closes[self._close][0]
        end = self.end_of(start)
        if close > end and self.next_word(end) != close:
            return None
        return (start, min(close, end)) if min(close, end) > start else None
