r"""One way of writing for the many ways in which answers are typed, LaTeX, plain text and Unicode alike.

    >>> tidy(r"x \leqslant \dfrac12 \;\text{or}\; x≥√5")
    'x \\le \\frac{1}{2},x \\ge \\sqrt{5}'

Nothing here knows what an answer means; what changes its meaning (units, percent, brackets) is left for `forms`.
"""

import re

_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "×": r"\times ", "÷": r"\div ", "·": r"\cdot ", "∙": r"\cdot ", "⋅": r"\cdot ",
        "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "°": r"^{\circ}",
        "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}",
        "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "√": r"\sqrt ", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}",
        "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "θ": r"\theta ", "α": r"\alpha ",
        "β": r"\beta ", "φ": r"\phi ", "λ": r"\lambda ", "ω": r"\omega ", "∖": r"\setminus ", "⟨": r"\langle ",
        "⟩": r"\rangle ", "∣": "|", "％": "%", "，": ",", "（": "(", "）": ")", "’": "'", "\u00a0": " ", "\u2009": " ",
        "\u202f": " ", "\x00": "", "¢": r"\text{ cents}",
    }
)  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "0123456789-n")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ]+")
_TEXT = r"\\(?:text|textbf|textit|textrm|textnormal|textsf|mbox|hbox|mathrm|mathit|mathbf|mathsf|rm|operatorname)\*?"
_NAMES = "arcsin|arccos|arctan|arccot|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp|gcd|lcm|det"
_REWRITES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), into)
    for pattern, into in [
        (r"(?:\{\}|^)\s*\^\s*\{?(\d+)\}?\s*C\s*_\s*\{?(\d+)\}?", r"\\binom{\1}{\2}"),
        (r"(?<![a-zA-Z\\])C\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", r"\\binom{\1}{\2}"),
        (r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|phantom\{[^{}]*\}|strut)(?![a-zA-Z])", " "),
        (r"\\left\s*\\\{\s*\\begin\{array\}\{[lcr]*\}(.*?)\\end\{array\}\s*\\right\s*\.?",
         r"\\begin{cases}\1\\end{cases}"),
        (r"\\(?:left|right|middle)(?![a-zA-Z])\s*\.?", ""),
        (r"\(?\s*\\(?:pmod|bmod|mod)\s*\{?\s*(\d+)\s*\}?\s*\)?", r"\\text{ mod \1}"),
        (r"\\equiv(?![a-zA-Z])", "="),
        (r"\\(?:[bB]igg?[lrm]?)(?![a-zA-Z])", ""),
        (r"\\[lr]?vert(?![a-zA-Z])|\\[lr]Vert(?![a-zA-Z])", "|"),
        (r"\\(?:lbrace)(?![a-zA-Z])", r"\\{"),
        (r"\\(?:rbrace)(?![a-zA-Z])", r"\\}"),
        (r"\\(?:lbrack)(?![a-zA-Z])", "["),
        (r"\\(?:rbrack)(?![a-zA-Z])", "]"),
        (r"\\(?:quad|qquad|enspace|thinspace|hspace\{[^{}]*\}|hfill)(?![a-zA-Z])", " "),
        (r"\\(?:ldots|dots|cdots|dotsc)(?![a-zA-Z])|\.\.\.|…", r"\\ldots "),
        (r"(?<!\\)\\!\s*", ""),
        (r"\{\s*,\s*\}", ","),
        (r"(?<!\\)\\[,;:> ]|~", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (r"\\(?:leqslant|leq|leqq|le)(?![a-zA-Z])|<=|=<", r"\\le "),
        (r"\\(?:geqslant|geq|geqq|ge)(?![a-zA-Z])|>=", r"\\ge "),
        (r"\\(?:lt)(?![a-zA-Z])", "<"),
        (r"\\(?:gt)(?![a-zA-Z])", ">"),
        (r"\\(?:neq|ne)(?![a-zA-Z])|\\not\s*=|!=", r"\\ne "),
        (r"\\(?:approx|simeq|doteq)(?![a-zA-Z])", r"\\approx "),
        (r"\\(?:varnothing|emptyset|empty)(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset "),
        (r"\\(?:backslash|setminus|smallsetminus)(?![a-zA-Z])", r"\\setminus "),
        (r"\\(?:vee|lor)(?![a-zA-Z])|\\text\{\s*or\s*\}", ","),
        (r"\\(?:wedge|land)(?![a-zA-Z])", r"\\land "),
        (r"\\(?:mathbf|boldsymbol|bm|mathcal|vec|hat|overrightarrow|mathrm|mathit)\s*\{\s*([a-zA-Z])\s*\}", r" \1"),
        (r"\\(?:imath|mathrm\{i\})(?![a-zA-Z])", " i"),
        (r"\\degree(?![a-zA-Z])|\^\{?\s*\\circ\s*\}?|\^\{?\s*o\s*\}(?=\s*[CF]?\b)", r"^{\\circ}"),
        (_TEXT + r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r"\\text{\1}"),
        (rf"\\text\{{\s*({_NAMES})\s*\}}", r"\\\1 "),
        (r"\\text\{\s*(?:or)\s*\}|\\text\{\s*,?\s*and\s*\}", ","),
        (r"\\text\{\s*\}|\{\}", ""),
        (r"\\text\{\s*([-+]?[\d.,/ ]*\d)\s*\}", r"\1"),
        (r"\\text\{\s*(?:per\s?cent|percent|pct|percentage)\s*\}|(?<=[\d\s}])(?:per\s?cent|percentage|percent|pct)\b",
         r"\\%"),
        (r"(?<!\\)%", r"\\%"),
        (r"\*\*", "^"),
        (r"(?<!\\)\*", r"\\cdot "),
        (r"\bsqrt\s*\(", r"\\sqrt("),
        (rf"(?<![a-zA-Z\\])({_NAMES})(?=[\s({{^_\d]|\\)", r"\\\1 "),
        (r"(?<![a-zA-Z\\])(?:pi|PI|Pi)(?![a-zA-Z])", r"\\pi "),
        (r"(?<![a-zA-Z\\])(?:infinity|Infinity|infty|inf|oo)(?![a-zA-Z])", r"\\infty "),
        (r"(?<![a-zA-Z\\])(?:union|U)(?=\s*[(\[])", r"\\cup "),
        (r"(?<![a-zA-Z\\{])\s*,?\s*\b(?:and|or)\b\s*(?![a-zA-Z}])", ","),
        (r"\^\s*(-?\d+(?:\.\d+)?)", r"^{\1}"),
        (r"\^\s*\(([^()]*)\)", r"^{\1}"),
        (r"\\sqrt\s*(\[[^\[\]]*\])?\s*(\d+|[a-zA-Z])", r"\\sqrt\1{\2}"),
        (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"\\(sin|cos|tan|cot|sec|csc|log|ln)\s*(\^\{[^{}]*\})?\s*(\d+(?:\.\d+)?)\^\{\\circ\}",
         r"\\\1\2(\\frac{\3\\pi}{180})"),
        (r"\\(sin|cos|tan|cot|sec|csc)\s*(\^\{[^{}]*\})?\s*[({](\d+(?:\.\d+)?)\^\{\\circ\}[)}]",
         r"\\\1\2(\\frac{\3\\pi}{180})"),
        (r"\s+", " "),
    ]
]  # fmt: skip
_TOKEN = re.compile(r"\\begin\{[a-zA-Z]*\*?\}|\\end\{[a-zA-Z]*\*?\}|\\[a-zA-Z]+|\\.|.", re.DOTALL)
_OPEN = {"(", "[", "{", r"\{", r"\langle"}
_CLOSE = {")", "]", "}", r"\}", r"\rangle"}


def tidy(text: str) -> str:
    """The text in one notation; math delimiters are gone, `and` and `or` between answers are commas."""
    text = _SUPERSCRIPT.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    text = text.translate(_CHARACTERS).replace(r"\$", "USD ").replace("$", "").replace(r"\(", "").replace(r"\)", "")
    for pattern, into in _REWRITES:
        text = pattern.sub(into, text)
    return _with_braces(text).strip()


def _with_braces(text: str) -> str:
    r"""Braces around both parts of every fraction: `\frac{1}{2}` for `\frac12`."""
    start = text.rfind(r"\frac")
    while start >= 0:
        after = start + len(r"\frac")
        above, middle = _argument(text, after)
        below, end = _argument(text, middle)
        text = rf"{text[:start]}\frac{{{above}}}{{{below}}}{text[end:]}" if above and below else text
        start = text.rfind(r"\frac", 0, start)
    return text


def _argument(text: str, start: int) -> tuple[str, int]:
    """What a command at `start` takes, without its braces, and where it ends."""
    match = _TOKEN.match(text, start + len(text[start:]) - len(text[start:].lstrip()))
    if match is None:
        return "", start
    if match[0] != "{":
        return match[0], match.end()
    depth, position = 1, match.end()
    while depth:
        token = _TOKEN.match(text, position)
        if token is None:
            return "", start
        depth += (token[0] == "{") - (token[0] == "}")
        position = token.end()
    return text[match.end() : position - 1], position


def tokens(text: str) -> list[str]:
    """Commands, escaped signs and single characters."""
    return _TOKEN.findall(text)


def split(text: str, separators: frozenset[str]) -> tuple[list[str], list[str]]:
    """The parts between separators that stand in no bracket, and these separators.

    A bracket of one kind may be closed by one of another: `(0,1]`.
    """
    parts, found, depth, bars = [""], [], 0, False
    for token in tokens(text):
        if token in _OPEN or token.startswith(r"\begin"):
            depth += 1
        elif token in _CLOSE or token.startswith(r"\end"):
            depth = max(0, depth - 1)
        elif token == "|":
            bars = not bars
        if not depth and not bars and token in separators:
            found.append(token)
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts], found


def enclosed(text: str) -> tuple[str, str, str] | None:
    """Opening bracket, content and closing bracket where one pair encloses the whole text."""
    parts = tokens(text.strip())
    if len(parts) < 2 or parts[0] not in _OPEN or parts[-1] not in _CLOSE:
        return None
    depth = 0
    for index, token in enumerate(parts):
        depth += (token in _OPEN) - (token in _CLOSE)
        if depth == 0 and index < len(parts) - 1:
            return None
    return (parts[0], "".join(parts[1:-1]).strip(), parts[-1]) if depth == 0 else None


def balanced(text: str) -> bool:
    """Whether every bracket is closed, by a bracket of any kind."""
    depth = 0
    for token in tokens(text):
        depth += (token in _OPEN) - (token in _CLOSE)
        if depth < 0:
            return False
    return depth == 0
