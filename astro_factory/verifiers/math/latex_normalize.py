r"""One notation for the many ways in which answers are typed: LaTeX, plain text and Unicode alike.

    >>> tidy(r"x \leqslant \dfrac12 \;\text{or}\; x≥√5")
    'x \\le \\frac{1}{2} \\lor x \\ge \\sqrt{5}'

One pass over the tokens with tables of what each is written as. Nothing here knows what an answer means: units, percent
signs and brackets stay.
"""

import re

_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "×": r"\times ", "÷": r"\div ", "·": r"\cdot ", "∙": r"\cdot ", "⋅": r"\cdot ",
        "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "°": r"^{\circ}",
        "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∓": r"\mp ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}",
        "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "√": r"\sqrt ",
        "½": r"\frac{1}{2}",
        "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "∖": r"\setminus ",
        "⟨": r"\langle ", "⟩": r"\rangle ", "∣": "|", "％": r"\%", "，": ",", "（": "(", "）": ")",
        "：": ":", "；": ";",
        "’": "'", "′": "'", "″": "''", "‘": "'", "“": '"', "”": '"', "\u00a0": " ", "\u2009": " ", "\u202f": " ",
        "\x00": "", "¢": r"\text{ cents}", "∧": r"\land ", "∨": r"\lor ", "≡": r"\equiv ", "⊥": r"\perp ",
        "∥": r"\parallel ",
        "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "ε": r"\epsilon ", "θ": r"\theta ",
        "λ": r"\lambda ", "μ": r"\mu ", "µ": r"\mu ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ", "φ": r"\phi ",
        "ω": r"\omega ", "Δ": r"\Delta ", "Σ": r"\Sigma ", "Ω": r"\Omega ", "Π": r"\Pi ", "Φ": r"\Phi ",
        "Γ": r"\Gamma ",
        "∠": r"\angle ", "△": r"\triangle ", "ℏ": r"\hbar ", "∂": r"\partial ", "€": r"\EUR ", "£": r"\GBP ",
        "₹": r"\INR ", "¥": r"\JPY ",
    }
)  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₋₊ₙᵢⱼₖ", "0123456789-+nijk")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₋₊ₙᵢⱼₖ]+")

LETTERS = frozenset(
    "\\" + name
    for name in """alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho
    varrho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    ell hbar nabla
    """.split()
)
"""Commands that are names, as letters are."""
FUNCTIONS = frozenset(
    """arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh sin cos tan cot sec csc ln log lg exp gcd lcm det max
    min cis Re Im""".split()
)
_TEXT = frozenset(
    "text textbf textit textrm textnormal textsf texttt mbox hbox mathrm mathit mathsf rm operatorname".split()
)
_BOLD = frozenset("mathbf boldsymbol bm vec hat overrightarrow".split())
_PLAIN = frozenset("mathcal mathscr mathfrak".split())
_DROPPED = frozenset(
    """left right middle displaystyle textstyle scriptstyle limits nolimits strut big Big bigg Bigg bigl bigr Bigl Bigr
    biggl biggr Biggl Biggr bigm""".split()
)
_SPACES = frozenset(("quad", "qquad", "enspace", "thinspace", "hfill", ",", ";", ":", ">", " ", "~"))
_RENAMED = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom", "leqslant": "le",
    "leq": "le",
    "leqq": "le", "geqslant": "ge", "geq": "ge", "geqq": "ge", "neq": "ne", "simeq": "approx", "doteq": "approx",
    "varnothing": "emptyset", "empty": "emptyset", "backslash": "setminus", "smallsetminus": "setminus", "vee": "lor",
    "wedge": "land", "ldots": "ldots", "dots": "ldots", "cdots": "ldots", "dotsc": "ldots", "rightarrow": "to",
    "lvert": "|", "rvert": "|", "vert": "|", "lVert": "|", "rVert": "|", "Vert": "|", "lbrace": r"\{", "rbrace": r"\}",
    "lbrack": "[", "rbrack": "]", "lt": "<", "gt": ">", "imath": " i", "degree": r"^{\circ}", "bullet": "cdot",
    "ast": "cdot", "colon": ":", "mid": "|", "dag": "dagger", "arcctg": "arccot", "tg": "tan", "ctg": "cot",
    "intercal": "top", "iff": "Leftrightarrow", "tbinomial": "binom", "pounds": "GBP",
}  # fmt: skip
_WORDS = {
    "and": r"\land ", "or": r"\lor ", "pi": r"\pi ", "PI": r"\pi ", "Pi": r"\pi ", "infinity": r"\infty ",
    "Infinity": r"\infty ", "infty": r"\infty ", "inf": r"\infty ", "oo": r"\infty ", "sqrt": r"\sqrt ",
    "union": r"\cup ",
    "percent": r"\%", "percentage": r"\%", "pct": r"\%", "theta": r"\theta ", "alpha": r"\alpha ", "beta": r"\beta ",
    "cbrt": r"\sqrt[3]", "mod": r"\mod ",
}  # fmt: skip
_TWO_SIGNS = {"<=": r"\le ", "=<": r"\le ", ">=": r"\ge ", "!=": r"\ne ", "==": "=", "**": "^"}
_LEXEME = re.compile(r"\\[a-zA-Z]+|\\.|[0-9]+(?:\.[0-9]+)?|[a-zA-Z]+|<=|=<|>=|!=|==|\*\*|\s+|.", re.DOTALL)
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[0-9]+(?:\.[0-9]+)?|\.[0-9]+|.", re.DOTALL)
_OPEN = frozenset(("(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil", r"\begin"))
_CLOSE = frozenset((")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil", r"\end"))
_NUMERIC = re.compile(r"[-+]?[0-9.,/ ]{0,60}[0-9]", re.ASCII)
_CHOOSE = re.compile(r"(?:\{\}|(?<![\w}]))(?:\^|_)\{(\d{1,4})\} ?C ?_\{(\d{1,4})\}", re.ASCII)
_PLAIN_CHOOSE = re.compile(r"(?<![\w.}])(\d{1,3})C(\d{1,3})(?!\w)", re.ASCII)
_COUNT = re.compile(r"(?<![A-Za-z\\])C ?\( ?(\d{1,4}) ?, ?(\d{1,4}) ?\)", re.ASCII)


def tokens(text: str) -> list[str]:
    """Commands, escaped signs, numbers and single characters."""
    return _TOKEN.findall(text)


def tidy(text: str) -> str:
    """The text in one notation, without math delimiters; a fraction's parts, an index and a power stand in braces."""
    text = _RAISED.sub(lambda found: "^{" + found[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _LOWERED.sub(lambda found: "_{" + found[0].translate(_SUBSCRIPTS) + "}", text)
    text = text.translate(_CHARACTERS).replace(r"\$", r"\USD ").replace("$", "").replace("...", r"\ldots ")
    text = _Writer(text.replace(r"\(", "").replace(r"\)", "").replace("{,}", ",").replace(r"\!", "")).written()
    text = _PLAIN_CHOOSE.sub(r"\\binom{\1}{\2}", text)
    text = _COUNT.sub(r"\\binom{\1}{\2}", _CHOOSE.sub(r"\\binom{\1}{\2}", text))
    return " ".join(text.split())


class _Writer:
    """Rewrites lexemes from left to right; groups are rewritten on their own."""

    def __init__(self, text: str):
        self._found = _LEXEME.findall(text)
        self._position = 0

    def written(self, until: str = "") -> str:
        """Everything up to a closing brace, or up to the end."""
        out: list[str] = []
        while self._position < len(self._found):
            lexeme = self._found[self._position]
            self._position += 1
            if lexeme == until:
                break
            out.append(self._rewrite(lexeme, out))
        return "".join(out)

    def _rewrite(self, lexeme: str, out: list[str]) -> str:
        if lexeme.startswith("\\") and len(lexeme) > 1:
            return self._command(lexeme[1:])
        if lexeme[0].isalpha():
            return self._word(lexeme, out)
        if lexeme == "{":
            inside = self.written("}")
            return "{" + inside + "}"
        if lexeme in ("^", "**"):
            return self._power()
        if lexeme == "_":
            return "_{" + self._argument(word=False) + "}"
        if lexeme in _TWO_SIGNS:
            return _TWO_SIGNS[lexeme]
        if lexeme == "*":
            return r"\cdot "
        if lexeme == "%":
            return r"\%"
        return " " if lexeme.isspace() or lexeme == "~" else lexeme

    def _word(self, word: str, out: list[str]) -> str:
        """A bare word: the name of a function, sign or constant, where no letter or backslash is glued to it."""
        if word in ("U", "u") and self._ahead() in ("(", "[") and out and out[-1][-1:] in ")] ":
            return r"\cup "
        if word in _WORDS:
            return self._sqrt() if word == "sqrt" else _WORDS[word]
        return rf"\{word} " if self._is_function(word) else word

    def _is_function(self, word: str) -> bool:
        """Whether letters name a function: `min` and `sec` are units where no argument follows."""
        if word not in FUNCTIONS:
            return False
        after = self._ahead()
        if word in ("min", "max", "Re", "Im", "det", "lg"):
            return after in ("(", r"\{", "_")
        return bool(after) and after[0] not in "/.,;)]}=&"

    def _command(self, written: str) -> str:
        name = _RENAMED.get(written, written)
        if name in _TEXT:
            return self._text(name)
        if name in _BOLD:
            return self._bold()
        if name in _PLAIN:
            return " " + self._argument()
        if name == "mathbb":
            letter = self._argument()
            return rf"\mathbb{{{letter}}}" if letter in ("R", "Z", "N", "Q", "C") else f" {letter}"
        if name in _DROPPED:
            if name in ("left", "right") and self._peek() == ".":
                self._position += 1
            return ""
        if name in _SPACES:
            return " "
        if name in ("hspace", "vspace", "phantom", "hphantom", "vphantom"):
            self._argument()
            return " "
        if name == "Pr":
            return " P"
        if name in ("frac", "binom"):
            return rf"\{name}{{{self._argument(digit=True)}}}{{{self._argument(digit=True)}}}"
        if name == "sqrt":
            return self._sqrt()
        if name in ("pmod", "bmod", "mod"):
            return rf"\mod {self._argument()}"
        if name != written and not name.isalpha():  # a sign has taken its place
            return name
        if not name[0].isalpha():
            return "\\" + name
        if name in ("begin", "end"):
            return rf"\{name}{{{self._argument().replace('*', '').replace(chr(92) + 'cdot ', '')}}}"
        if name in ("dot", "bar"):
            return rf"\{name}{{{self._argument()}}}"
        return f"\\{name} "

    def _text(self, name: str) -> str:
        r"""`\text{...}` with its inside as written, or what the inside is another way of writing."""
        if self._peek() == "*":
            self._position += 1
        inside = self._raw() if self._peek() == "{" else self._argument()
        plain = " ".join(inside.replace("~", " ").split())
        folded = plain.lower().strip(" ,.")
        if self._is_function(plain) or (name == "operatorname" and plain in FUNCTIONS):
            return rf"\{plain} "
        if folded in ("and", "or"):
            return _WORDS[folded]
        if folded in ("percent", "per cent", "percentage", "pct", "\\%", "%", "%."):
            return r"\%"
        if _NUMERIC.fullmatch(plain):
            return plain
        if plain in ("i", "e") or (name in ("mathrm", "rm", "mathit", "operatorname") and plain == "d"):
            return f" {plain}"
        if len(plain) == 1 and plain.isalpha() and (name == "mathit" or self._ahead() == "("):
            return f" {plain}"
        return rf"\text{{{inside.replace('~', ' ')}}}" if plain else " "

    def _bold(self) -> str:
        inside = self._argument()
        if len(inside) == 1 and inside.isalpha():
            return rf"\vec{{{inside}}}"
        return inside if _NUMERIC.fullmatch(inside) or "\\" in inside else rf"\text{{{inside}}}"

    def _power(self) -> str:
        while self._peek() == " ":
            self._position += 1
        if self._peek() == "(":
            inside = self._round()
            return "^{" + inside + "}"
        exponent = self._argument(word=False, signed=True).strip()
        bare = exponent.replace(" ", "")
        if bare and not bare.replace(r"\prime", ""):
            return "'" * bare.count(r"\prime")
        if bare in (r"\circ", "o"):
            return r"^{\circ}"
        if bare in ("'", "''", "'''"):
            return bare
        return "^{" + ("T" if bare == r"\top" else exponent) + "}"

    def _sqrt(self) -> str:
        while self._peek() == " ":
            self._position += 1
        degree = ""
        if self._peek() == "[":
            end = next((at for at in range(self._position, len(self._found)) if self._found[at] == "]"), None)
            if end is None:
                return r"\sqrt"
            degree = "".join(self._found[self._position : end + 1])
            self._position = end + 1
        inside = self._round() if self._peek() == "(" else self._argument()
        return rf"\sqrt{degree}{{{inside}}}"

    def _round(self) -> str:
        """What a round bracket holds, rewritten; the bracket is behind us."""
        self._position += 1
        start, depth = self._position, 1
        while self._position < len(self._found) and depth:
            lexeme = self._found[self._position]
            depth += (lexeme == "(") - (lexeme == ")")
            self._position += 1
        inner = _Writer("")
        inner._found = self._found[start : self._position - (depth == 0)]
        return inner.written()

    def _argument(self, word: bool = True, signed: bool = False, digit: bool = False) -> str:
        r"""What a command takes: a group in braces, a command with its own argument, or one character.

        Args:
            word: whether letters that stand together are taken together.
            signed: whether a sign before a number belongs to it.
            digit: whether only the first digit of a number is taken: `\frac12`.
        """
        while self._peek() == " ":
            self._position += 1
        lexeme = self._peek()
        if not lexeme or lexeme in ("}", ")", "]"):
            return ""
        self._position += 1
        if lexeme == "{":
            return self.written("}").strip()
        if lexeme in ("-", "+") and signed:
            return lexeme + self._argument(word, False, digit)
        if lexeme[0].isdigit() and digit and len(lexeme) > 1:
            self._put_back(lexeme[1:])
            return lexeme[0]
        if lexeme[0].isalpha() and len(lexeme) > 1:
            self._put_back(lexeme[1:])
            return lexeme[0]
        return self._rewrite(lexeme, []).strip()

    def _put_back(self, lexeme: str) -> None:
        self._position -= 1
        self._found[self._position] = lexeme

    def _raw(self) -> str:
        """The inside of a group as it is written."""
        self._position += 1
        start, depth = self._position, 1
        while self._position < len(self._found) and depth:
            lexeme = self._found[self._position]
            depth += (lexeme == "{") - (lexeme == "}")
            self._position += 1
        return "".join(self._found[start : self._position - (depth == 0)])

    def _ahead(self) -> str:
        """The next lexeme that is no space."""
        ahead = self._found[self._position : self._position + 2]
        return next((lexeme for lexeme in ahead if not lexeme.isspace()), "")

    def _peek(self) -> str:
        if self._position >= len(self._found):
            return ""
        lexeme = self._found[self._position]
        return " " if lexeme.isspace() else lexeme


def split(text: str, separators: frozenset[str]) -> tuple[list[str], list[str]]:
    """The parts between separators that stand in no bracket, and these separators.

    A bracket of one kind may be closed by one of another: `(0,1]`.
    """
    parts, found, depth, bars = [""], [], 0, False
    for token in tokens(text):
        if token in _OPEN:
            depth += 1
        elif token in _CLOSE:
            depth = max(0, depth - 1)
        elif token == "|" and not depth:
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
