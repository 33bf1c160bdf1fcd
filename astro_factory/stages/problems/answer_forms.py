"""The forms in which data sets have answers, and which form a table that cannot be read seems to have."""

from collections.abc import Sequence
from typing import Any

from astro_factory.core.problems import Problem
from astro_factory.stages.problems.rows import Fields, Row, RowsConfig
from astro_factory.verifiers.base import Verifier
from astro_factory.verifiers.math.extraction import final_answer

CHOICE_COLUMNS = ("choices", "options", "endings", "candidates")
"""Names under which data sets have the options of a multiple choice."""
_LOOKED_AT = 100
"""Rows on which a proposal rests."""


class FormError(ValueError):
    """Why an answer does not have the form that the spec states."""


def answer_text(value: Any, form: str) -> str:
    """The answer in a cell, without the space around it; empty for an empty cell. Raises `FormError`."""
    if form == "list":
        if not isinstance(value, list):
            raise FormError("the answer is not a list (`answer_form: list`)")
        if len(value) != 1:
            raise FormError(f"the answer is a list of {len(value)}, and only one answer can be known")
        (value,) = value
    if isinstance(value, list | dict):
        raise FormError(f"the answer is a {type(value).__name__}, not a text or a number")
    text = "" if value is None else str(value).strip()
    return final_answer(text) if form == "solution" else text


def proposal(failed: Sequence[Any], config: RowsConfig, verifier: Verifier | None) -> str:
    """A remedy that names the form with which most of the failed answers could be read; empty if none does.

    Without a verifier every text is an answer.
    """
    looked_at = failed[:_LOOKED_AT]
    for form in ("solution", "list", "value"):
        if form == config.answer_form or config.fields.choices:
            continue
        readable = 0
        for value in looked_at:
            try:
                text = answer_text(value, form)
            except FormError:
                continue
            same = form == "solution" and text == str(value).strip()
            asked = Problem("", "?", text, config.verifier)
            readable += bool(text) and not same and (verifier is None or verifier.check_problem(asked) is None)
        if readable > len(looked_at) / 2:
            return f"{_MEANING[form]}: write `answer_form: {form}`"
    return ""


_MEANING = {
    "solution": "these are worked solutions that state their answer",
    "list": "these are lists with one answer",
    "value": "these are plain answers",
}


def unnamed_choices(rows: Sequence[Row], fields: Fields) -> str:
    """The column of options that a table seems to have and no field names; empty if there is none."""
    for column in CHOICE_COLUMNS:
        found = [row.values.get(column) for row in rows[:_LOOKED_AT]]
        several = [value for value in found if isinstance(value, list | dict) and len(value) > 1]
        if found and len(several) == len(found) and column not in fields.columns():
            return column
    return ""
