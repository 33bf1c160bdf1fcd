"""The comparison that runs in the worker processes of the `math` verifier.

There are no limits here: the pool kills a process that takes too long. Nothing is ever given to `eval`.
"""

from functools import lru_cache

from sympy.core.cache import clear_cache

from astro_factory.verifiers.math.answer_types import Form, Relation, UnorderedList, UnreadableError, Value, parts_of
from astro_factory.verifiers.math.arithmetic import TooLargeError
from astro_factory.verifiers.math.comparison import Comparison
from astro_factory.verifiers.math.equations import is_name
from astro_factory.verifiers.math.equivalence import same
from astro_factory.verifiers.math.numbers import as_numeral
from astro_factory.verifiers.math.reader import read
from astro_factory.verifiers.math.spelling import spelled
from astro_factory.verifiers.math.symbolic import equal_formulas, expression, formula

_WARM_UP = (
    r"\frac{\sqrt{3}}{2}+2\pi x^{2}-3xy", r"\sin^{2}(x)+\cos 2x", r"\log_{2}(8)\cdot e^{-x}", r"\binom{n}{2}+n!",
    r"(x+1)(x-1)", r"|x-1|+\sqrt[3]{2}", r"2\arctan\frac{1}{2}", r"a+bi", "3.5x", r"\lfloor x\rfloor",
)  # fmt: skip
_CLEAR_EVERY = 2000
_calls = 0


def compare(pair: tuple[str, str]) -> Comparison:
    """Compare a gold answer with a response's answer, in this order.

    Whatever goes wrong after the gold answer has been read is the answer's fault.
    """
    _clear_cache()
    try:
        (gold, gold_fault), (answer, answer_fault) = _both(*pair)
        if gold is None or answer is None:
            return Comparison(False, "", "", gold_fault, answer_fault)
        return Comparison(same(gold, answer), spelled(gold, pair[0]), spelled(answer, pair[1]))
    except (MemoryError, RecursionError) as error:
        return Comparison(False, answer_fault=f"too large ({type(error).__name__})")
    except Exception as error:
        return Comparison(False, answer_fault=f"cannot be compared ({type(error).__name__}: {error})"[:300])


def _both(gold_text: str, answer_text: str) -> tuple[tuple[Form | None, str], tuple[Form | None, str]]:
    """Both answers read. `1,234` is a number, except against a list."""
    gold, answer = _understood(gold_text), _understood(answer_text)
    if isinstance(gold[0], UnorderedList) and _has_thousands(answer[0]):
        answer = _understood(answer_text.replace(",", ", "))
    elif isinstance(answer[0], UnorderedList) and _has_thousands(gold[0]):
        gold = _understood(gold_text.replace(",", ", "))
    return gold, answer


def _has_thousands(form: Form | None) -> bool:
    return isinstance(form, Value) and form.number is not None and "," in form.text


@lru_cache(maxsize=4096)
def _understood(text: str) -> tuple[Form | None, str]:
    """The form of an answer, or why it has none. Every formula in it must have been read."""
    try:
        form = read(text)
        missing = _unread(form)
    except UnreadableError as error:
        return None, str(error)
    except TooLargeError as error:
        return None, f"too large to evaluate: {error}"
    except RecursionError:
        return None, "it nests too deeply"
    return (form, "") if missing is None else (None, f"'{missing:.60}' is no formula")


def _unread(form: Form) -> str | None:
    """The text of a formula that cannot be read; None if there is none."""
    if isinstance(form, Value):
        readable = form.number is not None or as_numeral(form.text) is not None or formula(form.text) is not None
        return None if readable else form.text
    parts = parts_of(form)
    if isinstance(form, Relation) and is_name(parts[0]):
        parts = parts[1:]
    return next((text for part in parts if (text := _unread(part)) is not None), None)


def _clear_cache() -> None:
    """Keep sympy's memory of past calls from growing with their number."""
    global _calls
    _calls += 1
    if _calls % _CLEAR_EVERY == 0:
        clear_cache()


def _warm_up() -> None:
    """Build what the first formulas need, so that the forks of this process share it."""
    for text in _WARM_UP:
        formula(text)
    first, second = expression(r"\sin^{2} x"), expression(r"1-\cos^{2} x")
    assert first is not None and second is not None and equal_formulas(first, second)


_warm_up()
