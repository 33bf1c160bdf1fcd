"""Problems made of problems: without duplicates, without a benchmark's, of middle difficulty."""

import json
from pathlib import Path

import pytest

from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import read_table, write_table
from astro_factory.stages.problems import decontaminate, deduplicate, pass_rate
from astro_factory.stages.problems.own_verifier import own_verifier
from tests.stages.test_evaluate import Kept, make_model, write_problems
from tests.training.tiny import Recorded

LONG = "a farmer has twelve cows and seven goats in his barn and sells five of them on a rainy day in may"
OTHER = "how many ways are there to seat six people at a round table if two of them never sit side by side"


def write(folder: Path, questions: dict[str, str], verifier: str = "math") -> Path:
    folder.mkdir()
    rows = [Problem(name, question, "4", verifier).as_row() for name, question in questions.items()]
    write_table(folder / "problems.parquet", rows, problem_schema())
    return folder


def run(module, tmp_path: Path, inputs: dict[str, Path], items=None, **fields) -> tuple[list[str], StageContext]:
    out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    digests = {name: f"digest of {path}" for name, path in inputs.items()}
    ctx = StageContext("clean", inputs, digests, out, tmp_path, items or Kept(), Recorded())
    module.run(ctx, module.Config(kind=module.__name__.rpartition(".")[2], problems="train", **fields))
    return [row["id"] for row in read_table(out / "problems.parquet")], ctx


def test_of_equal_and_nearly_equal_problems_the_first_stays(tmp_path):
    questions = {
        "a": LONG,
        "b": OTHER,
        "c": LONG.upper() + "!",
        "d": LONG.replace("may", "june"),
        "e": "short",
        "f": "Short?",
    }
    left, ctx = run(deduplicate, tmp_path, {"train": write(tmp_path / "train", questions)})
    assert left == ["a", "b", "e"]
    removed = json.loads((ctx.out / "removed.json").read_text())
    assert [(entry["id"], entry["same_as"], entry["similarity"]) for entry in removed] == [
        ("c", "a", 1.0),
        ("d", "a", round(17 / 19, 4)),
        ("f", "e", 1.0),
    ]
    left, _ = run(deduplicate, tmp_path, {"train": tmp_path / "train"}, similarity=1.0)
    assert left == ["a", "b", "d", "e"]


def test_what_is_left_keeps_the_mark_of_a_verifier_of_ones_own(tmp_path):
    from pyarrow.parquet import read_schema

    for verifier, kept in (("python:mine:Letter 1 abc", "python:mine:Letter 1 abc"), ("math 2 5", "")):
        folder = write(tmp_path / verifier[:4], {"a": LONG, "b": OTHER})
        schema = problem_schema().with_metadata({"verifier": verifier})
        write_table(folder / "problems.parquet", list(read_table(folder / "problems.parquet")), schema)
        _, ctx = run(deduplicate, tmp_path, {"train": folder})
        assert own_verifier(folder / "problems.parquet") == own_verifier(ctx.out / "problems.parquet") == kept
        assert (b"verifier" in (read_schema(ctx.out / "problems.parquet").metadata or {})) == bool(kept)


CONTAMINATED = {
    "exact": LONG.title() + ".",
    "thirteen": "yesterday " + " ".join(LONG.split()[3:17]) + " again",
    "eight": "tomorrow " + " ".join(OTHER.split()[2:11]) + " indeed",
    "seven": "tomorrow " + " ".join(OTHER.split()[2:9]) + " indeed",
    "clean": "what is the sum of the first hundred odd numbers",
}


@pytest.mark.parametrize(
    ("remove", "left"),
    [
        ("exact", ["thirteen", "eight", "seven", "clean"]),
        ("13-gram", ["eight", "seven", "clean"]),
        ("8-gram", ["seven", "clean"]),
    ],
)
def test_what_a_benchmark_asks_is_removed_and_every_overlap_shown(tmp_path, remove, left):
    inputs = {"train": write(tmp_path / "train", CONTAMINATED)}
    inputs["math500"] = write(tmp_path / "math500", {"m1": LONG, "m2": "something else"})
    inputs["aime"] = write(tmp_path / "aime", {"a1": OTHER})
    found, ctx = run(decontaminate, tmp_path, inputs, against=["math500", "aime"], remove=remove)
    assert found == left
    overlaps = json.loads((ctx.out / "overlaps.json").read_text())
    assert [(entry["id"], entry["benchmark"], entry["problem"], entry["overlap"]) for entry in overlaps] == [
        ("exact", "math500", "m1", "exact"),
        ("thirteen", "math500", "m1", "13-gram"),
        ("eight", "aime", "a1", "8-gram"),
    ]
    assert overlaps[1]["words"] == " ".join(LONG.split()[3:17])
    assert [entry["removed"] for entry in overlaps] == [entry["id"] not in left for entry in overlaps]


def test_an_instruction_that_all_share_is_no_overlap(tmp_path):
    instruction = " please put the final answer of this problem into a box at the very end of your response"
    inputs = {"train": write(tmp_path / "train", {"a": "one apple" + instruction, "b": "two pears" + instruction})}
    inputs["test"] = write(tmp_path / "test", {"x": "three figs" + instruction, "y": "four plums" + instruction})
    assert run(decontaminate, tmp_path, inputs, against=["test"])[0] == ["a", "b"]


def test_training_on_the_benchmark_itself_is_a_mistake(tmp_path, golden):
    folder = write(tmp_path / "train", {"a": LONG})
    with pytest.raises(UserError) as caught:
        run(decontaminate, tmp_path, {"train": folder, "test": folder}, against=["test"])
    assert caught.value.diagnostics[0].code == "E434"
    golden(str(caught.value))


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tried")
    puzzles = [([4, 10, 3], 17), ([3, 4, 10], 11), ([1, 2, 3], 6)]
    return {"train": write_problems(root / "train", puzzles), "base": make_model(root / "base", seed=0)}


RIGHT, WRONG = "answer ( 4 + 10 ) + 3", "answer 4 + 10"
SOMETIMES = {"target 17\n": [RIGHT, WRONG], "target 11\n": [WRONG], "": ["answer 1 + 2 + 3"]}


def test_problems_that_are_solved_sometimes_stay(tried, tmp_path):
    settings = {
        "model": "base",
        "engine": {"kind": "scripted", "responses": SOMETIMES},
        "samples": 16,
        "max_tokens": 40,
    }
    items = Kept()
    left, ctx = run(pass_rate, tmp_path, tried, items, **settings)
    assert left == ["p0"]
    rates = {row["id"]: row for row in read_table(ctx.out / "pass_rates.parquet")}
    assert 0.1 < rates["p0"]["solved"] < 0.9 and rates["p1"]["solved"] == 0 and rates["p2"]["solved"] == 1
    assert all(row["judged"] == 16 for row in rates.values())
    made = len(items.values)
    assert (
        run(pass_rate, tmp_path, tried, items, **settings, keep=[0.5, 1])[0][-1] == "p2" and len(items.values) == made
    )
    assert run(pass_rate, tmp_path, tried, items, **settings, keep=[0, 1], limit=2)[0] == ["p0", "p1"]
    with pytest.raises(UserError) as caught:
        run(pass_rate, tmp_path, tried, items, **settings, keep=[0.95, 0.99])
    assert str(caught.value).startswith("E435 no problem is solved in 0.95 to 0.99 of 16 tries; the shares are 0, 0.")


def test_a_range_of_rates_lies_between_0_and_1():
    with pytest.raises(ValueError, match="keep needs two numbers with 0 <= low <= high <= 1"):
        pass_rate.Config(kind="pass_rate", problems="p", model="m", engine={"kind": "transformers"}, keep=[0.9, 0.1])
