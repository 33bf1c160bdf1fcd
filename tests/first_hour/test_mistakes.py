"""The mistakes of a newcomer, in mistakes.yaml: each answer names the place and the remedy in its first two lines."""

import json
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from astro_factory.cli.main import main

SPEC = """\
factory: 1
name: small
params: {count: 20}
templates: {short: reflection/terse.jinja}
problems:
  test: {kind: countdown, count: 5, split: test}
  own:
    kind: file
    path: problems.jsonl
    fields: {question: question, answer: answer}
    verifier: math
models:
  blank: {kind: init, vocabulary: {numbers: 20}}
stages:
  drill: {kind: practice, count: '${params.count}'}
  tuned: {kind: sft, model: blank, data: drill, learning_rate: 1.0e-3}
profiles:
  tiny: {params.count: 3}
"""
PROBLEMS = '{"question": "What is 1 + 1?", "answer": "2"}\n{"question": "What is 2 + 3?", "answer": "5"}\n'
CASES = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text(encoding="utf-8"))


def ended(command: str, monkeypatch, capsys) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["astro-factory", *shlex.split(command)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0, *capsys.readouterr()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_mistake(case, tmp_path, monkeypatch, capsys, golden):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASTRO_STORE", raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "200")
    text = SPEC
    for old, new in case.get("replace", {}).items():
        assert old in text
        text = text.replace(old, new)
    for name, content in ({"spec.yaml": text, "problems.jsonl": PROBLEMS} | case.get("files", {})).items():
        Path(name).write_text(content, encoding="utf-8")

    code, out, err = ended(case["command"], monkeypatch, capsys)
    golden("\n".join(err.splitlines()[:2]))
    assert (code, out) == (2, "")
    shown = "\n".join(err.splitlines()[:2])
    assert f"{case['code']} " in shown and case["place"] in shown
    assert "; " in shown.partition(case["code"])[2], "no remedy in the first two lines"
    if not case["command"].startswith("chat"):  # a conversation has no JSON
        code, out, _ = ended(f"{case['command']} --json", monkeypatch, capsys)
        first = json.loads(out)["errors"][0]
        assert (code, first["code"]) == (2, case["code"]) and first["remedy"] and f"; {first['remedy']}" in shown


def test_there_are_thirty_five_different_mistakes():
    assert len({case["name"] for case in CASES}) == len(CASES) >= 35


def test_without_a_mistake_there_is_no_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    Path("spec.yaml").write_text(SPEC)
    Path("problems.jsonl").write_text(PROBLEMS)
    assert ended("check spec.yaml --data", monkeypatch, capsys)[0] == 0
