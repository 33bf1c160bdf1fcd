import time

import pytest
from antlr4.atn.PredictionMode import PredictionMode

from astro_factory.verifiers.math.latex_grammar import _Reader, parse

FORMULAS = [
    "x^{2}+5x+6", "2x(3x^{2}-2)", "AB^{2}", "x^{2}y + xy^{2}", r"\pi^{2}/6", r"\pi^2(y)", "10/n(x^8)", "e^{x^{2}}",
    r"\frac{\pi}{3} r^{2} h", r"\sin^{2} k^7", r"\sin^{2}(x)+\cos^{2} x", r"\ln(x^{2}+1)+C", r"\frac{d}{dx} x^{3}",
    r"\int_0^1 x^{2} dx", r"\int_a^b x^{2} dx", r"\sum_{n=1}^{\infty} \frac{1}{n^{2}}", "x_1^{2}", "x_1 + x_2",
    "f(x)^2", "x^{-1}", "i^{3}", "n!^{2}", r"\lim_{x \to a^+} x^{2}", r"|x^{2}-1|", r"\log_{2} x^{2}", "x^{y}",
    r"\sqrt[3]{x^{2}}", r"\binom{n^{2}}{2}", "2^{2021}-1", "x^{2}^{3}", "d^{2}", r"\theta^{2}", "x^{10}", "f^{-1}(x)",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_the_fast_reading_is_the_full_one(text):
    def read(how):
        try:
            return repr(how(text))
        except Exception as error:
            return type(error)

    assert read(parse) == read(_Reader(PredictionMode.LL).parse)


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["()", "{}", "[]", (r"\sqrt{", "}"), (r"\frac{1}{1+", "}"), ("((", ")(x))")], ids=str)
@pytest.mark.parametrize("closed", [True, False])
def test_deep_brackets_are_read_or_refused_at_once(pair, closed):
    opening, closing = pair
    depth = 31 // opening.count(opening[-1])
    text = opening * depth + "x" + closing * (depth if closed else depth - 1)
    start = time.process_time()
    if closed:
        assert parse(text).free_symbols
    else:
        with pytest.raises(Exception, match=r"."):
            parse(text)
    assert time.process_time() - start < 1.5
