"""The guide's user-defined verifier is complete: `check --trust --data` accepts it, and it judges as it says."""

import re
from pathlib import Path

import pytest

from astro_factory.cli.data_check import check_data
from astro_factory.core.problems import Problem
from astro_factory.plan.code_access import load_code
from astro_factory.spec import compile_spec

GUIDE = Path(__file__).parents[2] / "docs/guide/your-own-problems.md"
SPEC = """
factory: 1
name: words
problems:
  train: {kind: file, path: problems.jsonl, verifier: "python:last_word:LastWord"}
"""


@pytest.mark.slow
def test_the_verifier_of_the_guide_works(tmp_path, capsys):
    text = GUIDE.read_text(encoding="utf-8")
    assert '  train: {kind: file, path: problems.jsonl, verifier: "python:last_word:LastWord"}\n' in text
    source = re.search(r"```python\n(# specs/last_word\.py\n.*?)```", text, re.DOTALL)[1]
    (tmp_path / "last_word.py").write_text(source)
    (tmp_path / "problems.jsonl").write_text('{"question": "What is the capital of France?", "answer": "Paris"}\n')
    (tmp_path / "spec.yaml").write_text(SPEC)
    graph = compile_spec(tmp_path / "spec.yaml")
    load_code(graph)
    check_data(graph, trust=True)
    assert "train: 1 problems" in capsys.readouterr().out
    names: dict = {}
    exec(source, names)
    verifier = names["LastWord"]()
    problem = Problem("1", "What is the capital of France?", "Paris", "mine")
    outcomes = [verifier.verify(problem, text).outcome for text in ("It is paris.", "Lyon", "...")]
    assert outcomes == ["correct", "incorrect", "no_answer"]
