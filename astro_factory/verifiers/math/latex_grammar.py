r"""LaTeX to sympy by the grammar of math-verify (latex2sympy), in less time and without the hang at nested brackets.

ANTLR predicts in two modes. The full one (LL) looks through all that may follow at each level of nesting, so its time
grows exponentially with the depth; the simple one (SLL) either gives the same tree in linear time or finds an error
(Parr, Harwell and Fisher, "Adaptive LL(*) parsing", 2014). So SLL is asked first, and LL only about shallow texts.
Runs in the processes of the `math` verifier only.
"""

import re
from typing import Any

from antlr4.atn.PredictionMode import PredictionMode
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, _Latex2Sympy

from astro_factory.verifiers.pool import nesting

_CONFIG = ConversionConfig(lowercase_symbols=False)
_MAX_FULL_NESTING = 10
"""Brackets in one another up to which LL is asked; at 10 it takes half a second."""
_POWER = re.compile(r"(?:\\pi|(?<![_d])[A-Za-cf-z])(?=\s*\^\s*(?:\d|\{-?\d+\})(?!\s*[(\d{]))|(?P<command>\\[A-Za-z]+)")
r"""A letter with a number as its power, but not the `e` of a power of e nor the `d` of a differential."""
_CALL = re.compile(r"\\(?:cdot|times|left|ln|log|exp|sin|cos|tan)(?![A-Za-z])|(?P<call>[A-Za-z]\s*\()")
"""A letter before a bracket, which may be a function there."""


class _Reader(_Latex2Sympy):
    def __init__(self, mode: Any):
        super().__init__(config=_CONFIG)
        self._mode = mode

    def create_parser(self, latex_str: str) -> Any:
        parser = super().create_parser(latex_str)
        parser._interp.predictionMode = self._mode
        return parser


def parse(text: str) -> Any:
    """What the grammar reads in a tidy text.

    Raises:
        Exception: bare ones of the grammar, and whatever sympy likes.
    """
    simple = text if any(found["call"] for found in _CALL.finditer(text)) else _POWER.sub(_braced, text)
    try:
        return _Reader(PredictionMode.SLL).parse(simple)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        if nesting(text) > _MAX_FULL_NESTING:
            raise
    return _Reader(PredictionMode.LL).parse(text)


def _braced(letter: re.Match[str]) -> str:
    """SLL refuses `x^{2}`, where what follows may belong to the letter or to the power, and reads `{x}^{2}`."""
    return letter[0] if letter["command"] else f"{{{letter[0]}}}"
