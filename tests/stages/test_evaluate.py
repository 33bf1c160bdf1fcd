import json
import subprocess
import sys
from pathlib import Path

import pytest

from astro_factory.core.canonical import seed_for
from astro_factory.core.config import TemplateSource
from astro_factory.core.context import Items, StageContext
from astro_factory.core.dialogues import dialogue_schema
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.evaluation.analysis import analysis_from_samples
from astro_factory.evaluation.report import report_from_samples
from astro_factory.evaluation.samples import LATER_MEASURES, MEASURES
from astro_factory.stages import evaluate as evaluate_stage
from astro_factory.stages.evaluate import Config, run
from astro_factory.stages.models import init
from astro_factory.traces.response_parser import response_measures
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.countdown import question_text
from tests.training.tiny import Recorded, contents, context

PUZZLES = [([4, 10, 3], 17), ([3, 4, 10], 11), ([1, 2, 3], 6), ([1, 2, 3, 4], 10), ([5, 5, 2], 12)]


class Kept(Items):
    """Items in memory; counts what is made."""

    def __init__(self):
        self.values: dict[str, bytes] = {}

    def get(self, key):
        return self.values.get(key)

    def put(self, key, value):
        assert key not in self.values
        self.values[key] = value


def write_problems(folder: Path, puzzles) -> Path:
    folder.mkdir()
    problems = [
        Problem(
            f"p{index}",
            question_text(numbers, target),
            "",
            "countdown",
            {"numbers": numbers, "target": target},
            f"{len(numbers)} numbers",
        )
        for index, (numbers, target) in enumerate(puzzles)
    ]
    write_table(folder / "problems.parquet", [problem.as_row() for problem in problems], problem_schema())
    return folder


def make_model(root: Path, seed: int) -> Path:
    shape = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    words = {"numbers": 20, "words": ["numbers target left answer Wait No Yes Go back to where we had"]}
    ctx = context(root, {})
    init.run(ctx, init.Config(kind="init", architecture=shape, vocabulary=words, seed=seed))
    return ctx.out


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    return {
        "base": make_model(root / "base", seed=0),
        "rl": make_model(root / "rl", seed=1),
        "test": write_problems(root / "test", PUZZLES),
        "more": write_problems(root / "more", PUZZLES[:2]),
    }


def config(**settings) -> Config:
    suite = {"problems": ["test"], "samples": 3, "max_tokens": 24, "metrics": ["pass@1", "maj@2"]}
    fields = {"kind": "evaluate", "arms": ["base", "rl"], "engine": {"kind": "transformers"}, "group": 2}
    return Config(**fields | settings | {"suite": suite | settings.get("suite", {})})


def evaluate(inputs, root: Path, items: Items | None = None, events=None, **settings) -> dict[str, bytes]:
    digests = {name: f"digest of {path}" for name, path in inputs.items()}
    out = root / "out"
    out.mkdir(parents=True)
    ctx = StageContext("report", inputs, digests, out, root, items or Kept(), events or Recorded())
    run(ctx, config(**settings))
    return contents(out)


def rows_of(output: dict[str, bytes], root: Path) -> list[dict]:
    (root / "read.parquet").write_bytes(output["samples.parquet"])
    return read_table(root / "read.parquet")


ANSWERS = ["4 + 10 = 14 left 3 14\nanswer ( 4 + 10 ) + 3", "answer ( 4 + 10 ) - 3", "answer 4 + 3", "left"]
TWICE = "1 + 2 = 3 left 3 3 Wait , 3 - 2 = 1 No . Go back to where we had 1 2 3\n" * 2 + "answer 1 + 2 + 3"
COUNTDOWN = shipped_folder("templates") / "reflection" / "countdown.jinja"


def test_output_holds_samples_and_their_report(inputs, tmp_path):
    engine = {"kind": "scripted", "responses": {"target 17\n": ANSWERS, "target 11\n": ANSWERS, "": [TWICE]}}
    template = {"entry": "countdown.jinja", "sources": {"countdown.jinja": COUNTDOWN.read_text()}}
    settings = {"suite": {"max_tokens": 80}, "compare": [["rl", "base"]], "seed": 3}
    output = evaluate(inputs, tmp_path, engine=engine, backtracks=template, **settings)
    assert sorted(output) == ["analysis.json", "report.json", "samples.parquet"]
    rows = rows_of(output, tmp_path)
    assert [(row["arm"], row["problem"], row["sample"]) for row in rows[:4]] == [
        ("base", "p0", 0),
        ("base", "p0", 1),
        ("base", "p0", 2),
        ("base", "p1", 0),
    ]
    assert len(rows) == 2 * 5 * 3
    for row in rows:
        assert row["seed"] == seed_for(3, "evaluate", row["problem"], row["sample"])
        assert row["level"] == ("4 numbers" if row["problem"] == "p3" else "3 numbers")
        if row["problem"] in ("p0", "p1"):
            values = {ANSWERS[0]: "17", ANSWERS[1]: "11", ANSWERS[2]: "7 from 3 4", ANSWERS[3]: ""}
            assert row["extracted"] == values[row["text"]] and row["backtracks"] == 0
        else:
            # the step of the puzzle whose numbers it has is taken twice; the last going back has no step after it
            assert row["worded"] == 2 and row["backtracks"] == row["revisited"] == (row["problem"] == "p2")
    report = json.loads(output["report.json"])
    assert report["problems"] == 5 and list(report["arms"]) == ["base", "rl"]
    assert list(report["levels"]) == ["3 numbers", "4 numbers"]
    # the scripted engine knows no model: with equal seeds both arms say the same
    assert {entry["difference"] for entry in report["paired"]} == {0}
    assert report["correct_by_backtracks"]["rl"]["1"]["samples"] == 3
    measures, names = response_measures(TemplateSource(**template)), (*MEASURES, *LATER_MEASURES)
    problems = {row["id"]: Problem.from_row(row) for row in read_table(inputs["test"] / "problems.parquet")}
    for row in rows:
        assert {name: row[name] for name in names} == measures(problems[row["problem"]], row["text"])
    assert sum(row["dead_ends"] + row["revisited"] + row["unresolved"] for row in rows) > 0
    assert {f"{name}[mean]" for name in names} <= report["arms"]["rl"].keys()


def test_without_a_template_nothing_is_read_of_the_graph(inputs, tmp_path):
    output = evaluate(inputs, tmp_path, engine={"kind": "scripted", "responses": {"": [TWICE]}})
    assert {row[name] for row in rows_of(output, tmp_path) for name in MEASURES} == {None}
    assert not [name for name in json.loads(output["report.json"])["arms"]["rl"] if name.partition("[")[0] in MEASURES]


def test_every_number_can_be_made_again_from_the_samples(inputs, tmp_path):
    settings = {
        "suite": {"problems": ["test", "more"], "cluster": "numbers"},
        "compare": [["rl", "base"]],
        "equal_tokens": [["rl", "base"]],
        "samples_for": {"base": 5},
    }
    output = evaluate(inputs, tmp_path, **settings)
    rows = rows_of(output, tmp_path)
    assert output["report.json"].decode() == report_from_samples(rows, config(**settings)).to_json()
    assert output["analysis.json"].decode() == analysis_from_samples(rows, config(**settings)).to_json()
    assert sum(row["arm"] == "base" for row in rows) == 7 * 5 and sum(row["arm"] == "rl" for row in rows) == 7 * 3
    assert json.loads(output["report.json"])["clusters"] == 4
    assert any(row["finish"] == "length" and row["tokens"] == 24 for row in rows)


@pytest.mark.slow
def test_processes_change_nothing(inputs, tmp_path):
    alone = evaluate(inputs, tmp_path / "alone")
    assert evaluate(inputs, tmp_path / "two", processes=2) == alone


def test_a_resumed_run_makes_what_is_missing_and_the_same_bytes(inputs, tmp_path):
    class Killed(Exception):
        pass

    def interrupt(done):
        if done == 8:
            raise Killed

    whole, items = evaluate(inputs, tmp_path / "whole"), Kept()
    with pytest.raises(Killed):
        evaluate(inputs, tmp_path / "killed", items, Recorded(interrupt), group=5)
    assert len(items.values) == 8
    assert evaluate(inputs, tmp_path / "resumed", items) == whole
    assert len(items.values) == 2 * 5 * 3


def test_only_what_is_new_is_sampled(inputs, tmp_path):
    items, events = Kept(), Recorded()
    evaluate(inputs, tmp_path / "one", items, arms=["base"])
    made = len(items.values)
    evaluate(inputs, tmp_path / "two", items)
    assert len(items.values) == 2 * made
    evaluate(inputs, tmp_path / "samples", items, samples_for={"rl": 4})
    assert len(items.values) == 2 * made + 5
    evaluate(inputs, tmp_path / "same", items, events, suite={"metrics": ["pass@3"]}, compare=[["rl", "base"]])
    evaluate(inputs, tmp_path / "device", items, engine={"kind": "transformers", "batch_size": 4, "device": "cpu"})
    evaluate(inputs, tmp_path / "groups", items, group=3)
    evaluate(inputs, tmp_path / "twice", items, suite={"problems": ["test", "more"]})  # two problems stand in both
    assert len(items.values) == 2 * made + 5 and events.steps[0] == 30
    for number, change in enumerate([{"seed": 1}, {"suite": {"temperature": 0.5}}, {"suite": {"max_tokens": 8}}]):
        evaluate(inputs, tmp_path / str(number), items, **change)
        assert len(items.values) == (4 + 2 * number) * made + 5


def test_greedy_samples_need_no_luck(inputs, tmp_path):
    suite = {"samples": 1, "temperature": 0, "metrics": ["pass@1"]}
    first, second = (
        rows_of(evaluate(inputs, tmp_path / str(seed), suite=suite, seed=seed), tmp_path) for seed in (0, 1)
    )
    assert [row["text"] for row in first] == [row["text"] for row in second]


def write_examples(folder: Path, *questions: str) -> Path:
    folder.mkdir()
    answers = [{"role": "assistant", "content": "answer 1 + 2"}]
    rows = [
        {"id": str(index), "skill": "", "messages": [{"role": "user", "content": question}, *answers]}
        for index, question in enumerate(questions)
    ]
    write_table(folder / "dialogues.parquet", rows, dialogue_schema())
    return folder


def test_worked_examples_stand_in_front_of_every_question(inputs, tmp_path):
    asked, other = question_text(*PUZZLES[0]), "numbers 1 2 target 3"
    inputs = inputs | {"shown": write_examples(tmp_path / "shown", asked, other)}
    inputs |= {
        "first": write_examples(tmp_path / "first", other),
        "swapped": write_examples(tmp_path / "swapped", "try"),
    }
    items = Kept()
    plain, skipped, same, changed = (
        [row["text"] for row in rows_of(evaluate(inputs, tmp_path / str(examples), items, examples=examples), tmp_path)]
        for examples in (None, "shown", "first", "swapped")
    )
    assert skipped == same, "a question of the suite is no example"
    assert plain != same != changed, "samples are stored by the whole conversation"


def test_too_few_worked_examples_are_a_mistake(inputs, tmp_path, golden):
    inputs = inputs | {"shown": write_examples(tmp_path / "shown", "numbers 1 2 target 3")}
    with pytest.raises(UserError, match="E808") as caught:
        evaluate(inputs, tmp_path, examples="shown", example_count=3)
    golden(str(caught.value))


def test_a_cluster_key_that_no_problem_has_is_a_mistake(inputs, tmp_path, golden):
    with pytest.raises(UserError, match=r"E801 .*did you mean 'numbers'") as caught:
        evaluate(inputs, tmp_path, suite={"cluster": "number", "name": "sums"})
    golden(str(caught.value))


def test_a_mistake_in_a_worker_comes_through(inputs, tmp_path):
    with pytest.raises(UserError, match=r"E605 .*no_such_module:Engine"):
        evaluate(inputs, tmp_path, processes=2, engine={"kind": "python", "target": "no_such_module:Engine"})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_twenty_random_moments_it_ends_with_the_same_bytes_and_makes_no_sample_twice(inputs, tmp_path):
    (tmp_path / "base").symlink_to(inputs["base"])
    write_problems(tmp_path / "test", [([4, 10, 3], target) for target in range(1, 41)])
    command = [sys.executable, "-m", "tests.stages.kill_evaluate", str(tmp_path), "20", "7"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["killed"] == 20 and len(set(told["kept"])) > 3, told
    assert told["made"] > 2 * 40 * 4 and told["made_twice"] == 0, told
    assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")


def test_wrong_answers_of_equal_value_get_one_spelling_and_one_that_hung_none_else():
    problem, verifier = Problem("p", "What?", "3", "math"), get_verifier("math")
    answers = [r"\sqrt{8}", r"2\sqrt{2}", "3", "7", r"\frac{6}{2}", "x+1", "1+x"]
    verdicts = [verifier.verify(problem, rf"\boxed{{{answer}}}") for answer in answers]
    votes = evaluate_stage._votes(problem, [*verdicts, Verdict(Outcome.TIMEOUT, "x+1"), Verdict(Outcome.NO_ANSWER)])
    assert [votes.index(vote) for vote in votes] == [0, 0, 2, 3, 2, 5, 5, 7, 8]
    assert votes[2] == "3" and votes[8] == ""
