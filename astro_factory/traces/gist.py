r"""What a step does, in its own words: the filter `gist` of templates, for naming a step that a trace goes back to.

    >>> gist("We set up the equation $2x + 3 = 7$. Then we solve it.")
    'We set up the equation $2x + 3 = 7$'

The title of a step, else its first sentence, else its first words with an ellipsis. No formula is ever cut.
"""

import re
from collections.abc import Iterator

MAX_CHARS = 120
_MAX_READ = 2000
_ELLIPSIS = " ..."
_FORMULA = re.compile(
    r"\$\$(?:[^$\\]|\\.)+\$\$|\\\[.+?\\\]|\\\(.+?\\\)|(?<![\\$])\$(?=[^\s$])[^$\n]*?(?<=[^\s\\])\$(?!\d)"
    r"|\\begin\{(?P<name>\w+\*?)\}.+?\\end\{(?P=name)\}",
    re.DOTALL,
)
_DISPLAY = re.compile(r"\$\$(.+)\$\$|\\\[(.+)\\\]|\\begin\{(?:\w+\*?)\}(?:\{\w*\})?(.+)\\end\{\w+\*?\}", re.DOTALL)
_TITLE = re.compile(r"(?:#{1,6}[ \t]+)?(?:\*\*(?P<bold>[^*\n]+)\*\*|(?P<plain>[^\n]+))[ \t]*(?:\n|\Z)")
_SENTENCE_END = re.compile(r"[.!?](?=\s|\Z)")
_BRACES = re.compile(r"(?<!\\)[{}]")
_MARKUP = re.compile(r"\*\*|__|^#{1,6}[ \t]+|^[-*][ \t]+", re.MULTILINE)


def gist(text: object) -> str:
    """At most `MAX_CHARS` characters on one line; empty where nothing can be quoted, such as code."""
    step = str(text)[:_MAX_READ].strip()
    if step.startswith(("```", "|", "[asy]")):
        return ""
    for candidate in _candidates(step):
        quote = " ".join(_MARKUP.sub("", candidate).replace('"', "'").split())
        quote = quote if quote.endswith(_ELLIPSIS) else quote.strip(" :,;.")
        if quote and len(quote) <= MAX_CHARS and _is_whole(quote):
            return quote
    return ""


def _candidates(step: str) -> Iterator[str]:
    title = _TITLE.match(step)
    if title and (title["bold"] or step.startswith("#") or _is_title(title["plain"], step[title.end() :])):
        yield title["bold"] or title[0].lstrip("# ")
    pieces = list(_pieces(step))
    sentence = _first_sentence(pieces)
    yield sentence
    yield _first_words(sentence)
    yield from (piece for piece, is_formula in pieces if is_formula)


def _is_title(line: str, rest: str) -> bool:
    """Whether the first line of a step is its title: short, without the end of a sentence, and not the whole step."""
    return (
        bool(rest.strip()) and len(line) <= 80 and not line.rstrip().endswith((".", "!", "?", ":", ",", "$", "]", ")"))
    )


def _pieces(step: str) -> Iterator[tuple[str, bool]]:
    """Text and formulas in turn, with whether it is a formula; displayed formulas become part of the line."""
    position = 0
    for found in _FORMULA.finditer(step):
        yield step[position : found.start()], False
        yield _inline(found[0]), True
        position = found.end()
        if _DISPLAY.fullmatch(found[0]):
            mark = found[0].rstrip("]$\\ \n")[-1:]
            yield f"{mark if mark in ('.', ',') else ''} ", False
    yield step[position:], False


def _inline(formula: str) -> str:
    """A formula within a line: of several rows the first one."""
    found = _DISPLAY.fullmatch(formula)
    if found is None:
        return formula
    body = next(part for part in found.groups() if part is not None).strip()
    inner = _DISPLAY.fullmatch(body)
    if inner is not None:
        body = next(part for part in inner.groups() if part is not None).strip()
    row = re.split(r"\\\\", body.replace("&", ""))[0]
    return f"${' '.join(row.split()).rstrip('.,;')}$"


def _first_sentence(pieces: list[tuple[str, bool]]) -> str:
    parts: list[str] = []
    for text, is_formula in pieces:
        end = None if is_formula else _SENTENCE_END.search(text)
        parts.append(text if end is None else text[: end.start()])
        if end is not None and "".join(parts).strip():
            break
    return "".join(parts)


def _first_words(sentence: str) -> str:
    """The start of a sentence that is too long, up to a space outside formulas."""
    room = MAX_CHARS - len(_ELLIPSIS)
    cut = ""
    for text, is_formula in _pieces(" ".join(sentence.split())):
        if len(cut) + len(text) <= room:
            cut += text
            continue
        if not is_formula:
            cut += text[: room - len(cut)].rpartition(" ")[0]
        break
    words = cut.strip(" :,;")
    return words + _ELLIPSIS if len(words.split()) > 2 else ""


def _is_whole(quote: str) -> bool:
    """Whether a quote has no part of a formula: signs and braces are closed, and a single dollar is money."""
    rest = _FORMULA.sub("", quote)
    if re.search(r"\\[()]|\$(?!\d)|\\begin|\\end", rest) or re.search(r"\\[\[\]]", quote):
        return False
    if quote.count(r"\begin") != quote.count(r"\end"):
        return False
    depth = 0
    for brace in _BRACES.findall(quote):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0
