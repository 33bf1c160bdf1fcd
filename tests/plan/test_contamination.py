"""Warnings where an evaluation may measure what its models have read: which specs get them, and which do not."""

import pytest

from astro_factory.plan.contamination import contamination
from astro_factory.spec import compile_spec

ROWS = "\n".join(f'{{"question": "What is {n} + {n}?", "answer": "#### {2 * n}"}}' for n in range(40)) + "\n"
SPEC = """\
factory: 1
name: seen
models: {{base: {{kind: hub, repo: {model}}}}}
engines: {{local: {{kind: transformers}}}}
search_policies: {{look: {{kind: best_of_n, n: 2}}}}
problems:
  train: {{kind: file, path: rows.jsonl, answer_form: solution, share: {share}}}
  rest: {{like: train, share: [0.75, 1]}}
  gsm: {{kind: hub, preset: gsm8k}}
  new: {{kind: hub, preset: aime25}}
  copy: {{kind: file, preset: gsm8k, path: copy.jsonl}}
  clean: {{kind: decontaminate, problems: train, against: [{against}]}}
stages:
  trees: {{kind: search, model: base, engine: local, policy: look, problems: {searched}}}
  traces: {{kind: linearize, trees: trees, template: reflection/paper.jinja}}
  tuned: {{kind: sft, model: base, data: traces, learning_rate: 1.0e-5}}
  report: {{kind: evaluate, engine: local, arms: [base, tuned], suite: {{problems: [{suite}], samples: 2}}}}
"""
PLAIN = {"model": "org/own", "share": "[0, 0.75]", "searched": "train", "suite": "rest", "against": "rest"}
LLAMA = {"model": "meta-llama/Llama-3.1-8B-Instruct"}
CASES = {
    "two shares of a file": ({}, []),
    "overlapping shares": ({"share": "[0, 0.8]"}, ["W109 rest"]),
    "overlapping shares, compared by words": ({"share": "[0, 0.8]", "searched": "clean"}, []),
    "compared with another suite": ({"share": "[0, 0.8]", "searched": "clean", "against": "gsm"}, ["W109 rest"]),
    "the training problems themselves": ({"suite": "train"}, ["W109 train"]),
    "a public set that only decontaminate reads": ({"searched": "clean", "against": "gsm"}, []),
    "an old set and an old base": (LLAMA | {"suite": "gsm"}, ["W108 gsm (2021-10)"]),
    "a local copy of an old set": (
        LLAMA | {"suite": "copy", "searched": "gsm"},
        ["W108 copy (2021-10)"],
    ),
    "a set that is newer than the base": (LLAMA | {"suite": "new"}, []),
    "both": (LLAMA | {"suite": "new, gsm"}, ["W108 gsm (2021-10)"]),
    "a base without a known date": ({"suite": "new"}, ["W108 new (2025-02)"]),
}


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_contamination(tmp_path, changes, expected):
    for name in ("rows.jsonl", "copy.jsonl"):
        (tmp_path / name).write_text(ROWS)
    (tmp_path / "spec.yaml").write_text(SPEC.format(**PLAIN | changes))
    found = contamination(compile_spec(tmp_path / "spec.yaml"))
    assert [warning.code for warning in found] == [text[:4] for text in expected]
    for warning, text in zip(found, expected, strict=True):
        assert text[5:] in warning.cause and warning.remedy
        assert warning.place and warning.place.line == 17


PUZZLES = """\
factory: 1
name: drawn
models: {{blank: {{kind: hub, repo: org/own}}}}
engines: {{local: {{kind: transformers}}}}
search_policies: {{look: {{kind: best_of_n, n: 2}}}}
problems:
  train: {{kind: {kind}, count: 9, {train}}}
  test: {{kind: {kind}, count: 9, {test}}}
stages:
  practice: {{kind: practice, count: 9, {practice}}}
  base: {{kind: sft, model: blank, data: practice, learning_rate: 1.0e-3}}
  trees: {{kind: search, model: base, engine: local, policy: look, problems: train}}
  traces: {{kind: linearize, trees: trees, template: reflection/countdown.jinja}}
  tuned: {{kind: sft, model: base, data: traces, learning_rate: 1.0e-5}}
  report: {{kind: evaluate, engine: local, arms: [{arm}], suite: {{problems: [test], samples: 2}}}}
"""
SORTING = "domain: sorting, sizes: [4]"
COUNTDOWN = {"kind": "countdown", "arm": "tuned", "practice": "numbers: [3, 4]", "train": "numbers: [4]"}
SORTED = {"kind": "puzzles", "arm": "tuned", "practice": SORTING, "train": SORTING}
DRAWN = {
    "splits": (COUNTDOWN | {"test": "numbers: [4], split: test"}, ""),
    "splits of a domain": (SORTED | {"test": f"{SORTING}, split: dev"}, ""),
    "another seed of the training split": (COUNTDOWN | {"test": "numbers: [4], seed: 9"}, "train"),
    "a size that is practised": (COUNTDOWN | {"test": "numbers: [3], seed: 9"}, "practice"),
    "a size that no arm trains on": (COUNTDOWN | {"test": "numbers: [5], seed: 9"}, ""),
    "states of larger puzzles that are practised": (
        COUNTDOWN | {"practice": "numbers: [3, 5]", "train": "numbers: [5]", "test": "numbers: [4], split: dev"},
        "practice",
    ),
    "states that practice leaves out": (
        COUNTDOWN | {"practice": "numbers: [4, 5]", "train": "numbers: [5]", "test": "numbers: [4], split: dev"}, ""
    ),
    "buckets": (
        COUNTDOWN
        | {"practice": "buckets: [2]", "train": "numbers: [3], buckets: [3, 4]", "test": "numbers: [3], buckets: [5]"},
        "",
    ),
    "a bucket of practice": (SORTED | {"practice": f"{SORTING}, buckets: [2, 3]", "train": f"{SORTING}, buckets: [4]",
                                       "test": f"{SORTING}, buckets: [3]"}, "practice"),
    "an arm that has not trained on it": (
        COUNTDOWN | {"arm": "base", "practice": "numbers: [3]", "test": "numbers: [4], seed: 9"}, ""
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "shared"), DRAWN.values(), ids=DRAWN)
def test_puzzles_of_the_same_buckets_are_problems_that_were_trained_on(tmp_path, changes, shared):
    (tmp_path / "spec.yaml").write_text(PUZZLES.format(**changes))
    found = contamination(compile_spec(tmp_path / "spec.yaml"))
    assert [warning.code for warning in found] == ["W109"] * bool(shared)
    for warning in found:
        assert f"('{shared}')" in warning.cause
        assert ("add 4 to its `numbers`" if "numbers: [3, 5]" in changes["practice"] else "buckets") in warning.remedy
