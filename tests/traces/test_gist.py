"""How a step is named: by its title or first sentence, with every formula whole."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astro_factory.traces.gist import MAX_CHARS, gist

CASES = [
    ("We set up the equation $2x + 3 = 7$. Then we solve it.", "We set up the equation $2x + 3 = 7$"),
    ("**Simplify the fraction**\nWe cancel 3.", "Simplify the fraction"),
    ("Simplify the fraction\nWe cancel 3.", "Simplify the fraction"),
    ("### Set up\n\nLet $x$ be it.", "Set up"),
    ("We have:\n\\[\nx^2 = 4.\n\\]\nSo $x = 2$.", "We have: $x^2 = 4$"),
    ("\\begin{align*}\nx &= 1 + 1 \\\\\n&= 2\n\\end{align*}", "$x = 1 + 1$"),
    ("\\[\\begin{aligned} y &= 3 \\\\ z &= 4 \\end{aligned}\\]", "$y = 3$"),
    ("The value is 3.5 m. It is long.", "The value is 3.5 m"),
    ("She pays $5 for it.", "She pays $5 for it"),
    ('We call it "nice".', "We call it 'nice'"),
    ("So $x = " + "1 + " * 60 + "1$ and we are done with it now.", ""),
    ("Since this is so, we get the long " + "sum " * 40, "Since this is so, we get the long" + " sum" * 20 + " ..."),
    ("A long word " + "x" * 4000, "A long word ..."),
    ("```python\nprint(1)\n```", ""),
    ("| a |\n|---|", ""),
    ("$x", ""),
    ("\\[ x", ""),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("step", "words"), CASES)
def test_gist(step, words):
    assert gist(step) == words


PARTS = st.sampled_from(
    ["We get", "$x^{2}$", "\\(y_{1}\\)", "\\[\nz = \\frac{1}{2}.\n\\]", "$$a$$", "so.", "\n", " ", "\n\n", "$", "{",
     "}", "\\[", "**b**", "costs $5", "\\begin{align}\na &= b \\\\\nc\n\\end{align}", "word " * 30]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=12).map("".join))
@example("$$$$$a$$")
@example("$$$a$$so.$$")
@example("$$\n$**b**$$a$$")
def test_no_formula_is_cut(step):
    quote = gist(step)
    assert len(quote) <= MAX_CHARS and "\n" not in quote
    assert quote.count("\\(") == quote.count("\\)") and "\\[" not in quote and "\\begin" not in quote
    assert quote.count("{") == quote.count("}")
    assert len(re.findall(r"\$(?!\d)", quote)) % 2 == 0 or "$5" in quote
