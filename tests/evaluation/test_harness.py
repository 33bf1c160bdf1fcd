"""The task for lm-evaluation-harness and the comparison of both scores; nothing here runs the harness."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.evaluation.harness import (
    HarnessOptions,
    compare_with_harness,
    comparison_tables,
    harness_version,
    prompts_were_truncated,
    run_task,
    write_task,
)
from astro_factory.evaluation.metrics import solved_at
from tests.evaluation.handmade import make_evaluation


class Loader(yaml.SafeLoader):
    """Reads the harness's tag as its text."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def compared(evaluation, arm, answered) -> dict:
    """The comparison as `--json` prints it."""
    return compare_with_harness(evaluation, arm, answered).model_dump(mode="json", exclude_unset=True)


def answered_as_ours(evaluation, arm):
    return {
        asked: {
            "verdict": solved_at(rows, 1),
            "exact_match": 0.0,
            "resps": [[row["text"] for row in rows]],
        }
        for asked, rows in evaluation.samples_of(arm).items()
    }


def greedy(root, **settings):
    return make_evaluation(root, samples=1, temperature=0.0, spare=0, **settings)


@pytest.mark.parametrize(
    ("temperature", "samples", "sampling"),
    [
        (0.0, 1, {"do_sample": False}),
        # all tokens, as our engines sample; transformers would take the likeliest 50
        (0.7, 4, {"do_sample": True, "temperature": 0.7, "top_k": 0, "top_p": 1.0}),
    ],
)
def test_a_task_asks_what_the_suite_asks(tmp_path, temperature, samples, sampling):
    evaluation = make_evaluation(tmp_path, temperature=temperature, samples=samples, spare=2 if temperature else 0)
    folder = tmp_path / "task"
    path = write_task(folder, evaluation, evaluation.problems)
    task = yaml.load(path.read_text(), Loader)
    assert task["task"] == "small_report"
    assert task["generation_kwargs"] == {"until": [], "max_gen_toks": 9, **sampling}
    assert task["repeats"] == samples == task["filter_list"][0]["filter"][0]["k"]
    assert task["process_results"] == "judging.process_results"
    assert "from astro_factory.verifiers.harness import process_results" in (folder / "judging.py").read_text()
    docs = Path(task["dataset_kwargs"]["data_files"]["test"]).read_text(encoding="utf-8")
    docs = [json.loads(line) for line in docs.splitlines()]
    assert {(doc.pop("source"), doc["id"]): Problem.from_row(doc) for doc in docs} == evaluation.problems
    assert [doc["id"] for doc in docs] == [name for _, name in evaluation.problems]


ASKED, ANSWERED = ({"role": "user", "content": "1 + 1 ?"}, {"role": "assistant", "content": "2"})


def test_worked_examples_become_the_harness_s_own(tmp_path):
    evaluation = replace(make_evaluation(tmp_path), examples=[ASKED, ANSWERED, ASKED, ANSWERED])
    task = yaml.load(write_task(tmp_path / "task", evaluation, evaluation.problems).read_text(), Loader)
    shot = {"question": "1 + 1 ?", "answer": "2"}
    assert task["fewshot_config"] == {"sampler": "first_n", "samples": [shot, shot]}


@pytest.mark.parametrize(
    "examples", [[{"role": "system", "content": "."}, ASKED, ANSWERED], [ANSWERED, ASKED], [ASKED]]
)
def test_examples_that_the_harness_cannot_show_are_refused(tmp_path, examples, golden):
    evaluation = replace(make_evaluation(tmp_path), examples=examples)
    with pytest.raises(UserError, match="E809") as caught:
        write_task(tmp_path / "task", evaluation, evaluation.problems)
    golden(str(caught.value))
    assert not (tmp_path / "task").exists()


def test_equal_answers_make_equal_numbers(tmp_path):
    evaluation = greedy(tmp_path, problems=20)
    found = compared(evaluation, "a", answered_as_ours(evaluation, "a"))
    reported = evaluation.report.arms["a"]["pass@1[avg-of-1]"].model_dump()
    assert found["metric"] == "pass@1[avg-of-1]" and found["problems"] == 40
    assert {name: round(value, 6) for name, value in found["ours"].items()} == reported
    assert found["harness"] == found["ours"] and set(found["difference"].values()) == {0}
    assert found["responses"] == {"equal": 40, "only_ours_right": 0, "only_harness_right": 0}


def test_other_answers_are_counted_and_the_difference_has_its_interval(tmp_path):
    evaluation = greedy(tmp_path, problems=20)
    answered = answered_as_ours(evaluation, "a")
    flipped = list(answered)[:6]
    for asked in flipped:
        answered[asked] |= {"verdict": 1 - answered[asked]["verdict"], "resps": [["something else"]]}
    found = compared(evaluation, "a", answered)
    gained = sum(answered[asked]["verdict"] for asked in flipped)
    assert found["responses"] == {"equal": 34, "only_ours_right": 6 - gained, "only_harness_right": gained}
    difference = found["difference"]
    assert difference["value"] == pytest.approx((2 * gained - 6) / 40)
    assert difference["low"] <= difference["value"] <= difference["high"] and difference["low"] < difference["high"]


def test_drawn_responses_are_not_compared_one_by_one(tmp_path):
    evaluation = make_evaluation(tmp_path)
    found = compared(evaluation, "b", answered_as_ours(evaluation, "b"))
    assert found["responses"] is None and found["metric"] == "pass@1[avg-of-4]"
    assert found["ours"]["value"] == pytest.approx(evaluation.report.arms["b"]["pass@1[avg-of-4]"].value, abs=1e-6)


def test_some_problems_only(tmp_path):
    evaluation = greedy(tmp_path)
    answered = dict(list(answered_as_ours(evaluation, "a").items())[:2])
    assert compared(evaluation, "a", answered)["problems"] == 2


def test_without_known_answers_nothing_is_matched(tmp_path):
    evaluation = greedy(tmp_path)
    asked, problem = next(iter(evaluation.problems.items()))
    evaluation.problems[asked] = Problem(problem.id, problem.question, "", "countdown")
    assert "exact_match" not in compared(evaluation, "a", answered_as_ours(evaluation, "a"))


def test_table(tmp_path, golden):
    evaluation = greedy(tmp_path, problems=20)
    found = {arm: compare_with_harness(evaluation, arm, answered_as_ours(evaluation, arm), arm == "b") for arm in "ab"}
    file = io.StringIO()
    Console(file=file, width=120).print(comparison_tables(evaluation, found))
    golden("\n".join(line.rstrip() for line in file.getvalue().splitlines()))


def test_a_run_that_fails_shows_the_end_of_its_log(tmp_path, monkeypatch, golden):
    evaluation, folder = greedy(tmp_path), tmp_path / "task"
    evaluation.inputs["a"] = tmp_path
    (tmp_path / "model.safetensors").touch()  # only the form of a model folder is checked here
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\nfor i in 1 2 3 4 5 6; do echo line $i; done\necho Left truncation applied. >&2\nexit 3\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    write_task(folder, evaluation, evaluation.problems)
    with pytest.raises(UserError) as caught:
        run_task(folder, evaluation, "a", HarnessOptions(4, "cpu", "float32"))
    golden(str(caught.value))
    assert prompts_were_truncated(folder, "a")
    settings = yaml.safe_load((folder / "a.yaml").read_text())
    date = {"date_string": "26 Jul 2024"}
    assert settings["model_args"] == {"pretrained": str(tmp_path), "dtype": "float32", "chat_template_args": date}
    assert settings["tasks"] == [str(folder / "task.yaml")] and settings["device"] == "cpu"
    assert settings["apply_chat_template"] and settings["batch_size"] == 4


def test_without_the_harness(monkeypatch, golden):
    monkeypatch.setattr("astro_factory.evaluation.harness.find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        harness_version()
    golden(str(caught.value))
