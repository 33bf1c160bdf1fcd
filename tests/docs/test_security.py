"""The threat model in SECURITY.md names tests, and they exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/\S+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))


def test_the_threat_model_names_tests():
    assert len(NAMED) > 15


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: Path(part).stem)
def test_a_named_test_exists(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
