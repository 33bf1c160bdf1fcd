"""Differences pooled over seeds, on samples written by hand."""

import json
from pathlib import Path

import pytest

from astro_factory.core.tables import write_table
from astro_factory.evaluation.samples import sample_schema
from benchmarks.effect import compare, pooled

SHARED = {
    "level": "",
    "verifier": "v",
    "seed": 0,
    "text": "",
    "tokens": 1,
    "finish": "eos",
    "extracted": "",
    "detail": "",
}


def evaluation(folder: Path, rates: dict[str, dict[tuple[str, str], list[int]]]) -> Path:
    """The output of an evaluation: arm to (source, problem) to which samples are right."""
    rows = [
        SHARED | {"source": source, "problem": problem, "cluster": problem, "arm": arm, "sample": sample}
        | {"outcome": "correct" if right else "incorrect"}
        for arm, problems in rates.items()
        for (source, problem), samples in problems.items()
        for sample, right in enumerate(samples)
    ]  # fmt: skip
    folder.mkdir()
    write_table(
        folder / "samples.parquet", [dict.fromkeys(sample_schema().names) | row for row in rows], sample_schema()
    )
    report = {
        "settings": {"samples": 2},
        "problems": 2,
        "arms": {arm: {} for arm in rates},
        "paired": [{"arm": "a", "baseline": "b"}],
        "equal_tokens": [],
    }
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


def effect(tmp_path, *seeds) -> dict:
    return compare([evaluation(tmp_path / str(index), rates) for index, rates in enumerate(seeds)])["paired"][0]


def test_problems_of_equal_names_in_two_sources_are_two(tmp_path):
    found = effect(
        tmp_path,
        {"a": {("s", "p"): [1, 1], ("t", "p"): [0, 0]}, "b": {("s", "p"): [0, 0], ("t", "p"): [1, 0]}},
    )
    assert found["difference"] == 0.25  # +1 and -.5, not 1 of the first two rows


def test_seeds_may_have_other_problems_and_arms_may_lack_some(tmp_path):
    one = {"a": {("s", "p"): [1, 1], ("s", "q"): [1, 0]}, "b": {("s", "p"): [0, 0], ("s", "q"): [0, 0]}}
    other = {"a": {("s", "q"): [1, 1], ("s", "r"): [1, 1]}, "b": {("s", "q"): [0, 1]}}
    found = effect(tmp_path, one, other)
    assert found["seeds"] == [0.75, 0.5]
    assert found["difference"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["low"] < found["difference"] < found["high"]


def test_one_seed_and_nothing_in_common(tmp_path):
    right, wrong = {("s", "p"): [1, 1], ("s", "q"): [1, 1]}, {("s", "p"): [0, 0], ("s", "q"): [0, 0]}
    assert effect(tmp_path, {"a": right, "b": wrong})["difference"] == 1
    with pytest.raises(ValueError, match="no problem in common"):
        pooled([{}, {}])
