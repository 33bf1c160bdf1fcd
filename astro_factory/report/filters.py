"""Choosing rows by what they are: `arm=astro_rl,verdict=incorrect,backtracks>2`.

A filter is a list of conditions, joined by commas, that all hold: a key, one of `= != > < >= <=`, a value. The HTML
report reads the same language (`assets/samples.js`).
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from astro_factory.core.errors import UserError, near

Row = Mapping[str, object]
_CONDITION = re.compile(r"\s*(\w+)\s*(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


@dataclass(frozen=True)
class Condition:
    """One condition of a filter."""

    key: str
    sign: str
    value: str

    def holds(self, found: object) -> bool:
        """Whether a value meets the condition; a missing value is only ever unequal."""
        if found is None:
            return self.sign == "!="
        if self.sign in ("=", "!="):
            return self._equals(found) == (self.sign == "=")
        assert isinstance(found, int | float)
        return _ORDERS[self.sign](found, float(self.value))

    def _equals(self, found: object) -> bool:
        if isinstance(found, frozenset):
            return self.value in found
        if isinstance(found, bool):
            return ("yes" if found else "no") == self.value
        if isinstance(found, int | float):
            return _number(self.value) == found
        return str(found) == self.value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def parse_filter(text: str, keys: Mapping[str, type]) -> list[Condition]:
    """The conditions of a filter.

    Args:
        keys: each key of a row with the type of its values.

    Raises:
        UserError: E165 for what is no condition, an unknown key, an order of texts, or a number that is none.
    """
    conditions = []
    for part in filter(str.strip, text.split(",")):
        found = _CONDITION.fullmatch(part)
        if found is None:
            raise _wrong(f"'{part.strip()}' is not a condition", "write key=value or key>number, joined by commas")
        condition = Condition(found[1], found[2], found[3].strip())
        if condition.key not in keys:
            raise _wrong(f"rows have no key '{condition.key}'", near(condition.key, sorted(keys)))
        number = keys[condition.key] in (int, float)
        if condition.sign in _ORDERS and not number:
            raise _wrong(f"'{condition.key}' is not a number", f"compare it with = or !=, as in {condition.key}=…")
        if number and _number(condition.value) is None:
            raise _wrong(f"'{condition.value}' is not a number", f"write a number, as in {condition.key}>2")
        conditions.append(condition)
    return conditions


def _wrong(cause: str, remedy: str) -> UserError:
    return UserError.of("E165", cause, remedy)


def matching(rows: Sequence[Row], conditions: Sequence[Condition]) -> list[Row]:
    """The rows that meet every condition."""
    return [row for row in rows if all(condition.holds(row.get(condition.key)) for condition in conditions)]
