"""Multiple choice: a question, its options and the right one, in the forms in which data sets have them.

Options are a list of texts (MMLU), a mapping from labels to texts, two lists `label` and `text` (ARC), or a column each
(GPQA, which has the right one first). The right option is given by its label, its text, or its position.
"""

from collections.abc import Mapping, Sequence
from random import Random
from string import ascii_uppercase
from typing import Any, NamedTuple

from astro_factory.core.canonical import seed_for


class Choices(NamedTuple):
    """The options of a problem by letter, and the letter of the right one."""

    options: dict[str, str]
    answer: str


def read_choices(values: Mapping[str, Any], columns: Sequence[str], answer: object, first: int) -> Choices:
    """Raises `ValueError` with the reason why a row has no options or no right one.

    Args:
        values: the row.
        columns: one column that holds all options, or a column for each option.
        answer: the right option as the row states it.
        first: the position of the first option, if the right one is a position.
    """
    labels, texts = _options(values, columns)
    if len(texts) < 2:
        raise ValueError(f"there {'is 1 option' if len(texts) == 1 else 'are no options'}, not several")
    if len(texts) > len(ascii_uppercase):
        raise ValueError(f"there are {len(texts)} options, more than letters")
    if len(set(texts)) < len(texts):
        raise ValueError("two options are equal")
    index = _index(labels, texts, answer, first)
    letters = ascii_uppercase[: len(texts)]
    return Choices(dict(zip(letters, texts, strict=True)), letters[index])


def shuffled(choices: Choices, seed: int, problem: str) -> Choices:
    """The options in an order of their own for each problem, so that no letter is right more often than others."""
    order = list(choices.options)
    Random(seed_for(seed, "choices", problem)).shuffle(order)
    letters = list(choices.options)
    options = {new: choices.options[old] for new, old in zip(letters, order, strict=True)}
    return Choices(options, letters[order.index(choices.answer)])


def with_options(question: str, choices: Choices) -> str:
    """The question as a prompt shows it, an option in each line below it."""
    return "\n".join([question, "", *(f"({letter}) {text}" for letter, text in choices.options.items())])


def _options(values: Mapping[str, Any], columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Labels (empty if the options have none) and texts."""
    if len(columns) > 1:
        return list(columns), [_text(values.get(column)) for column in columns]
    found = values.get(columns[0])
    if isinstance(found, Mapping) and isinstance(found.get("text"), list) and isinstance(found.get("label"), list):
        return [_text(label) for label in found["label"]], [_text(text) for text in found["text"]]
    if isinstance(found, Mapping):
        return [str(label) for label in found], [_text(text) for text in found.values()]
    if isinstance(found, list):
        return [], [_text(text) for text in found]
    raise ValueError(f"the options are a {type(found).__name__}, not a list or a mapping from labels to texts")


def _index(labels: Sequence[str], texts: Sequence[str], answer: object, first: int) -> int:
    if answer is None or _text(answer) == "":
        raise ValueError("the answer is empty")
    shown = _text(answer)
    for names in (labels, texts, ascii_uppercase[: len(texts)]):
        if shown in names:
            return list(names).index(shown)
    if shown.strip("().").upper() in (letters := ascii_uppercase[: len(texts)]) and len(shown.strip("().")) == 1:
        return letters.index(shown.strip("().").upper())
    if shown.isdecimal() and first <= int(shown) < len(texts) + first:
        return int(shown) - first
    positions = f"the positions are counted from {first} (`first_choice`)" if shown.isdecimal() else ""
    raise ValueError(f"the answer is none of the {len(texts)} options{'; ' + positions if positions else ''}")


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
