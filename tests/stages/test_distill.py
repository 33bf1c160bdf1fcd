"""A model's own responses as dialogues."""

from pathlib import Path

import pytest

from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.tables import read_table
from astro_factory.core.workload import Workload
from astro_factory.stages.distill import Config, estimate, run
from tests.stages.test_evaluate import Kept, make_model, write_problems
from tests.training.tiny import Recorded

STRAIGHT = "10 + 3 = 13 left 4 13\n13 + 4 = 17 left 17\nanswer ( 10 + 3 ) + 4"
OTHER = "4 + 10 = 14 left 3 14\n14 + 3 = 17 left 17\nanswer ( 4 + 10 ) + 3"
BACK = f"4 + 3 = 7 left 10 7\nGo back\n{STRAIGHT}"
WRONG = "10 + 3 = 13 left 4 13\nanswer 10 + 3 + 4 + 4"
LOST = "13 + 4 = 17 left 17\nanswer ( 10 + 3 ) + 4"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    problems = write_problems(root / "train", [([4, 10, 3], 17), ([4, 10, 3], 11)])
    return {"model": make_model(root / "model", seed=0), "train": problems}


def config(responses=(BACK, WRONG, STRAIGHT, LOST, OTHER), **fields) -> Config:
    engine = {"kind": "scripted", "responses": {"target 17\n": list(responses), "": [WRONG]}}
    basic = {"kind": "distill", "problems": "train", "model": "model", "engine": engine, "samples": 5, "max_tokens": 90}
    return Config.model_validate(basic | fields)


def distilled(inputs, root: Path, **fields) -> tuple[dict[str, str], str]:
    """Responses by id, and what was logged."""
    (root / "out").mkdir()
    digests = {name: name for name in inputs}
    ctx = StageContext("own", inputs, digests, root / "out", root, Kept(), Recorded())
    run(ctx, config(**fields))
    rows = read_table(ctx.out / "dialogues.parquet")
    assert all("target 17" in row["messages"][0]["content"] for row in rows)
    return {row["id"]: row["messages"][1]["content"] for row in rows}, ctx.events.lines[-1]


@pytest.mark.parametrize(
    ("fields", "expected", "log"),
    [
        ({}, [LOST], "1 dialogues from 10 responses: 4 are correct"),
        ({"per_problem": 3}, [LOST, BACK, OTHER], "3 dialogues from 10 responses: 4 are correct"),
        (
            {"per_problem": 3, "branches": "drop"},
            [STRAIGHT, OTHER],
            "2 dialogues from 10 responses: 4 are correct, 2 without their branches too",
        ),
    ],
)
def test_first_different_correct_responses(inputs, tmp_path, fields, expected, log):
    found, logged = distilled(inputs, tmp_path, **fields)
    names = ["p0"] if not fields else [f"p0/{number}" for number in range(len(expected))]
    assert found == dict(zip(names, expected, strict=True)) and logged == log


@pytest.mark.parametrize(
    ("responses", "cause"),
    [
        ([WRONG], "E440 0 of 10 responses are correct"),
        ([LOST], "E440 5 of 10 responses are correct, and none of them without its branches"),
    ],
)
def test_nothing_left_is_a_mistake(inputs, tmp_path, responses, cause):
    with pytest.raises(UserError) as caught:
        distilled(inputs, tmp_path, responses=responses, branches="drop")
    assert cause in str(caught.value)


def test_estimate():
    found = estimate(config(per_problem=9), {"train": 10})
    assert found == Workload("samples", 50, rows=50, calls=50, tokens=50 * 90)
