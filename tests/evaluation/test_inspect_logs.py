"""Logs for inspect-ai, read back by inspect-ai."""

import sys
from dataclasses import replace

import pytest

from astro_factory.core.errors import UserError
from astro_factory.evaluation.inspect_logs import write_logs
from tests.evaluation.handmade import SOURCES, make_evaluation

METRICS = ["pass@1", "pass@2", "pass@3", "maj@3"]


@pytest.fixture(scope="module")
def inspect_log():
    return pytest.importorskip("inspect_ai.log", reason="inspect-ai is not installed")


def test_a_log_holds_what_the_arm_is_reported_on(inspect_log, tmp_path):
    evaluation = make_evaluation(tmp_path, metrics=METRICS)
    files = write_logs(evaluation, tmp_path / "deep" / "logs")
    assert [path.name for path in files] == ["a.eval", "b.eval"]
    for arm, path in zip("ab", files, strict=True):
        log = inspect_log.read_eval_log(path)
        assert (log.status, log.eval.model, log.eval.task) == ("success", f"small/{arm}", "small/report")
        assert (log.eval.dataset.name, log.eval.dataset.samples, log.eval.config.epochs) == ("p + q", 6, 4)
        rows = {
            ("/".join(asked), row["sample"] + 1): row
            for asked, samples in evaluation.samples_of(arm).items()
            for row in samples
        }
        assert sorted((sample.id, sample.epoch) for sample in log.samples) == sorted(rows)
        for sample in log.samples:
            row = rows[sample.id, sample.epoch]
            number = int(row["problem"])
            assert (sample.input, sample.target) == (f"What is {number} + {number}?", f"{2 * number}")
            assert [(m.role, m.text) for m in sample.messages] == [("user", sample.input), ("assistant", row["text"])]
            assert sample.output.completion == row["text"]
            assert sample.output.usage.output_tokens == sample.model_usage[f"small/{arm}"].total_tokens == row["tokens"]
            cut = row["finish"] == "length"
            assert sample.output.stop_reason == ("max_tokens" if cut else "stop")
            assert (sample.limit and (sample.limit.type, sample.limit.limit)) == (("token", 9) if cut else None)
            score = sample.scores["verdict"]
            assert score.value == {"correct": "C", "no_answer": "N"}.get(row["outcome"], "I")
            assert (score.answer, score.explanation) == (row["extracted"], row["outcome"])
            assert score.metadata == {"outcome": row["outcome"], "detail": "", "verifier": "math"}
            assert sample.metadata["seed"] == row["seed"] and sample.metadata["info"] == {"i": number}
        tokens = sum(row["tokens"] for row in rows.values())
        assert log.stats.model_usage[log.eval.model].output_tokens == tokens
        one = inspect_log.read_eval_log_sample(path, id="q/1", epoch=3)
        assert one.output.completion == rows["q/1", 3]["text"]


def test_a_log_shows_worked_examples_in_front_of_the_question(inspect_log, tmp_path):
    asked, answered = {"role": "user", "content": "1 + 1 ?"}, {"role": "assistant", "content": "2"}
    evaluation = replace(make_evaluation(tmp_path), examples=[asked, answered])
    path, _ = write_logs(evaluation, tmp_path / "logs")
    for sample in inspect_log.read_eval_log(path).samples:
        shown = [("user", "1 + 1 ?"), ("assistant", "2"), ("user", sample.input[-1].text)]
        assert [(m.role, m.text) for m in sample.input] == shown
        assert [(m.role, m.text) for m in sample.messages[:-1]] == shown
        assert sample.input[-1].text.startswith("What is ")


@pytest.mark.parametrize("seed", range(4))
def test_what_inspect_computes_is_what_we_report(inspect_log, tmp_path, seed):
    evaluation = make_evaluation(tmp_path, problems=7, seed=seed, samples=5, metrics=METRICS)
    for arm, path in zip("ab", write_logs(evaluation, tmp_path / "logs"), strict=True):
        log = inspect_log.read_eval_log(path)
        report = {name: value.model_dump() for name, value in evaluation.report.arms[arm].items()}
        assert log.results.headline.metric == "accuracy"
        shown = next(score for score in log.results.scores if score.name == "report").metrics
        assert {name: {"value": m.value, **m.metadata} for name, m in shown.items()} == report
        inspect_log.recompute_metrics(log)
        found = {score.reducer: score.metrics["accuracy"].value for score in log.results.scores}
        names = {"mean": "pass@1[avg-of-5]", "pass_at_2": "pass@2[of-5]", "pass_at_3": "pass@3[of-5]"}
        assert found == pytest.approx({reducer: report[name]["value"] for reducer, name in names.items()}, abs=1e-6)


def test_a_log_says_where_it_comes_from(inspect_log, tmp_path):
    evaluation = make_evaluation(tmp_path)
    first, second = (inspect_log.read_eval_log(path, header_only=True) for path in write_logs(evaluation, tmp_path))
    assert first.eval.metadata == {
        "spec": "small",
        "stage": "report",
        "arm": "a",
        "key": evaluation.result.key,
        "record": {"kind": "evaluate", "version": 2},
    }
    assert first.eval.packages == {"astro-factory": "0.1.0"}
    assert (first.stats.started_at, first.stats.completed_at) == (
        "2026-11-24T18:00:00+00:00",
        "2026-11-24T18:01:30.500000+00:00",
    )
    again = inspect_log.read_eval_log(write_logs(evaluation, tmp_path / "again")[0], header_only=True)
    assert again.eval == first.eval and first.eval.run_id == second.eval.run_id
    assert first.eval.eval_id != second.eval.eval_id


def test_with_one_source_a_problem_needs_no_other_name(inspect_log, tmp_path):
    path, _ = write_logs(make_evaluation(tmp_path, problems=1, sources=SOURCES[:1]), tmp_path)
    assert {sample.id for sample in inspect_log.read_eval_log(path).samples} == {"0"}


def test_without_inspect(tmp_path, monkeypatch, golden):
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(UserError) as caught:
        write_logs(make_evaluation(tmp_path), tmp_path / "logs")
    golden(str(caught.value))
    assert not (tmp_path / "logs").exists()
