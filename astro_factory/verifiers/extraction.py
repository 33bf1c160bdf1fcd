r"""Where the final answer stands: in the last complete `\boxed{...}`, else in the last stated answer, else nowhere.

    >>> final_answer(r"so x = 3. The final answer is $\frac{1}{2}$. I hope it is right")
    '\\frac{1}{2}'

A number that merely stands last is not an answer: guessing there would reward a response that stopped early.
"""

import re

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[{}]|[{}]")
_BARE = re.compile(r"\\(?:boxed|fbox)[ \t]+([^\s{}$]+)")
_STATED = re.compile(
    r"\banswer\b(?: to (?:the|this|your) [a-z ]{1,40}?)?[*_]*"
    r"\s*(?:is|are|was|will be|would be|should be|must be|:|=)(?!\w)"
    r"\s*:?(?:\*\*(?=\s))?\s*(.+)|####\s*(.+)|<answer>\s*(.+?)\s*</answer>",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!]\s+(?=[A-Z])|[.!]\s*$|,?\s+(?:since|because|as|so|which|where|when|for which)\s")
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"))


def final_answer(text: str) -> str:
    """The answer without its delimiters; empty where none is stated."""
    boxed = _last_boxed(text)
    if boxed.strip():
        return unwrap(boxed)
    if bare := _BARE.findall(text):
        return unwrap(bare[-1])
    stated = ["".join(found).strip() for found in _STATED.findall(text)]
    if not stated or _BOXED.search(stated[-1]):  # a box that is empty or cut off
        return ""
    last = stated[-1].removesuffix("**") if stated[-1].count("**") % 2 else stated[-1]  # `**Answer: 3**`
    return unwrap(_SENTENCE_END.split(last, maxsplit=1)[0])


def unwrap(answer: str) -> str:
    """An answer without the math delimiters, boxes, bold marks and closing full stop around it."""
    before = None
    while answer != before:
        before, answer = answer, answer.strip()
        if not answer.endswith("..."):
            answer = answer.removesuffix(".").strip()
        for left, right in _WRAPPERS:
            inner = answer[len(left) : -len(right)]
            if inner and answer.startswith(left) and answer.endswith(right) and left not in inner:
                answer = inner
        match = _BOXED.match(answer)
        if match and _last_boxed(answer) == answer[match.end() : -1]:
            answer = answer[match.end() : -1]
    return answer


def _last_boxed(text: str) -> str:
    """Content of the box that closes last; a box cut off by the end of the text is none."""
    last, opened = "", []
    for match in _BRACES.finditer(text):
        if match[0].endswith("{") and match[0] != r"\{":
            opened.append(match.end() if len(match[0]) > 1 else None)
        elif match[0] == "}" and opened:
            start = opened.pop()
            if start is not None:
                last = text[start : match.start()]
    return last
