from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.verifiers.expressions import MAX_CHARS, ExpressionError, Value, evaluate

RIGHT = [
    ("7", 7, (7,)),
    ("( 10 + 3 ) + 4", 17, (10, 3, 4)),
    ("10-3-4", 3, (10, 3, 4)),
    ("2+3*4", 14, (2, 3, 4)),
    ("(2+3)*4", 20, (2, 3, 4)),
    ("24/4/2", 3, (24, 4, 2)),
    ("8 / ( 3 - 8 / 3 )", 24, (8, 3, 8, 3)),
    ("1 / 3", Fraction(1, 3), (1, 3)),
    ("((((5))))", 5, (5,)),
    ("3 - 5", -2, (3, 5)),
]
WRONG = [
    ("", "ends too early"),
    ("1 +", "ends too early"),
    ("+ 1", "unexpected '+'"),
    ("-1", "unexpected '-'"),
    ("1 2", "unexpected '2'"),
    ("2 ( 3 )", "unexpected '('"),
    ("( 1 + 2", "not closed"),
    ("1 )", "unexpected ')'"),
    ("( )", "unexpected ')'"),
    ("4 / ( 2 - 2 )", "division by zero"),
    ("__import__('os')", "unexpected '__import__'"),
    ("1.5", "unexpected '.5'"),
    ("10 ** 2", "unexpected '*'"),
    ("1234567890", "more than 9 digits"),
    ("1" + "+1" * MAX_CHARS, f"longer than {MAX_CHARS}"),
    ("(" * 300, "ends too early"),
]


@pytest.mark.parametrize(("text", "value", "numbers"), RIGHT)
def test_evaluates_exactly(text, value, numbers):
    assert evaluate(text) == Value(Fraction(value), numbers)


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_says_what_cannot_be_read(text, why):
    with pytest.raises(ExpressionError) as error:
        evaluate(text)
    assert why in str(error.value)


@given(st.text(alphabet="0123456789+-*/() ", max_size=60))
def test_any_text_gives_a_value_or_the_one_error(text):
    try:
        value = evaluate(text)
    except ExpressionError:
        return
    # Python's own arithmetic agrees wherever it reads the text in the same way (it refuses leading zeros).
    plain = "".join(f"Fraction({int(t)})" if t.isdigit() else t for t in _split(text))
    assert value.value == eval(plain, {"Fraction": Fraction})


def _split(text):
    import re

    return re.findall(r"[0-9]+|[-+*/()]", text)
