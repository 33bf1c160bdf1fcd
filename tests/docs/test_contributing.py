"""CONTRIBUTING.md leads to code that exists, and uses targets that the Makefile has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = re.findall(r"^\| .+\? \| `(\S+)` \| `(\w+)` \|$", TEXT, re.MULTILINE)


def test_there_are_twenty_questions():
    assert len(PLACES) >= 20


@pytest.mark.parametrize(("file", "symbol"), PLACES, ids=lambda value: value)
def test_file_defines_the_symbol(file, symbol):
    defined = set()
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign):
            defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert symbol in defined


@pytest.mark.parametrize(
    "page", ["CONTRIBUTING.md", "README.md", "docs/index.md", "docs/releasing.md", ".github/workflows/ci.yml"]
)
def test_every_make_target_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    commands = re.findall(r"(?:`|^|run: )make ([a-z -]+)", text, re.MULTILINE)
    used = {target for command in commands for target in command.split()}
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert used <= rules
