"""The catalogue of codes: nothing is missing, nothing is there that no test brings about."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from astro_factory.core.error_catalogue import catalogue, explain
from astro_factory.core.errors import UserError

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[EW]\d{3}")


def used() -> Iterator[str]:
    """Every code that the package can give: a text of its source that is nothing but a code."""
    for path in (ROOT / "astro_factory").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                yield node.value


def shown() -> set[str]:
    """Every code that a test or a broken spec expects."""
    pages = [path for path in (ROOT / "tests").rglob("*") if path.suffix in (".py", ".txt", ".json", ".golden")]
    return {code for path in pages for code in CODE.findall(path.read_text(encoding="utf-8"))}


def test_every_code_is_in_the_catalogue_and_no_other():
    assert sorted(catalogue()) == sorted(set(used()))


def test_every_code_is_brought_about_by_a_test():
    assert not catalogue().keys() - shown()


def test_every_entry_says_what_it_means_and_shows_how_to_mend_it():
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (\S+)", page, re.MULTILINE)
    assert headings == list(catalogue()) == list(dict.fromkeys(headings))
    for code, (title, text) in catalogue().items():
        example = re.search(r"^```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert title and example, code
        signs = {line[:1] for line in example[1].splitlines()}
        assert {"-", "+"} <= signs <= {"-", "+", " "} and text.replace(example[0], "").strip(), code


def test_explain():
    assert re.match(r"E103 .+\n\n.+", explain("e103"))
    with pytest.raises(UserError, match="E155 "):
        explain("E1")
