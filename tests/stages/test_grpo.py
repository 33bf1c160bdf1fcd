import json
import os
import shutil
import signal
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.workload import Workload
from astro_factory.stages.grpo import Config, estimate, preflight, run
from astro_factory.training.failures import Interrupted
from astro_factory.training.totals import TOTALS
from tests.training.tiny import Recorded, contents, context, grpo_fields, make_model, make_problems, make_trees

WANTED = "Yes"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    return {
        "base": make_model(root / "base"),
        "problems": make_problems(root, 6),
        "trees": make_trees(root / "trees", 3),
    }


def config(**changes) -> Config:
    return Config(**grpo_fields() | changes)


@pytest.mark.slow
def test_the_model_learns_what_the_verifier_rewards(inputs, tmp_path):
    ctx = context(tmp_path, inputs)
    run(ctx, config(steps=12, group_size=8, schedule="constant"))
    points = [values for _, values in ctx.events.metrics if "rollouts" not in values]
    shown = {step: values["rollouts"] for step, values in ctx.events.metrics if "rollouts" in values}
    assert len(points) == 12 and list(shown) == list(range(1, 13))
    assert [rollout["problem"] for rollout in shown[1]][:2] == [shown[1][0]["problem"]] * 2 and len(shown[1]) == 4
    assert all((rollout["verdict"] == "correct") == (rollout["reward"] == 1) for rollout in shown[12])
    assert sum(p["reward"] for p in points[-3:]) > sum(p["reward"] for p in points[:3])
    assert points[0].keys() >= {"loss", "grad_norm", "length", "clipped", "entropy", "verdict/correct", "reward"}
    assert all(p["verdict/correct"] == pytest.approx(p["reward"]) for p in points)
    assert contents(ctx.out).keys() == contents(inputs["base"]).keys()


TWICE = {"num_iterations": 2, "beta": 0.05, "precision": "bf16"}
FOLLOWING = {"max_replacements": 1, "difficulty": {"explore": 0.25}, "start_from": {"trees": "trees"}}


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, TWICE | FOLLOWING])
def test_a_resumed_run_gives_the_bytes_of_one_that_never_stopped(inputs, tmp_path, settings):
    whole = context(tmp_path / "whole", inputs)
    run(whole, config(**settings))

    def interrupt(step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    first = context(tmp_path / "parts", inputs, Recorded(interrupt))
    with pytest.raises(Interrupted, match=f"stopped after step {4 if settings else 3}"):
        run(first, config(**settings))
    run(second := context(tmp_path / "parts", inputs), config(**settings))
    assert second.events.steps[0] == first.events.steps[-1] + 1
    assert contents(second.out) == contents(whole.out)


def test_bits_do_not_depend_on_fields_outside_the_key(inputs, tmp_path):
    run(one := context(tmp_path / "one", inputs), config())
    run(
        two := context(tmp_path / "two", inputs),
        config(
            log_every=3,
            save_every=1,
            rollouts={"kind": "engine", "batch_size": 5},
            alarm={"no_answer": 0},
            gradient_checkpointing=True,
        ),
    )
    assert contents(one.out) == contents(two.out)


@pytest.mark.slow
def test_a_checkpoint_continues_across_another_micro_batch_size(inputs, tmp_path):
    run(whole := context(tmp_path / "whole", inputs), config())

    def interrupt(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(context(tmp_path / "parts", inputs, Recorded(interrupt)), config())
    run(rest := context(tmp_path / "parts", inputs), config(micro_batch_size=2))
    assert rest.events.steps == [3, 4]
    one, other = (load_file(ctx.out / "model.safetensors") for ctx in (whole, rest))
    assert max((one[name] - other[name]).abs().max().item() for name in one) < 1e-4


def test_a_verifier_that_fails_is_an_alarm_and_may_stop_training(inputs, tmp_path):
    """It stops where the alarm begins, and goes on from there when it no longer may."""
    row = Problem("p", "1 , 2", WANTED, "python:tests.training.judges:Fails", level="words").as_row()
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "problems.parquet")
    failing = inputs | {"problems": tmp_path}
    with pytest.raises(UserError, match=r"E507 training stopped at step 1: verdict 'unjudged' for 100\.0% of the resp"):
        run(context(tmp_path / "stage", failing), config(steps=2, alarm={"stop": True}))
    run(ctx := context(tmp_path / "stage", failing), config(steps=2))
    points = [values for _, values in ctx.events.metrics if "rollouts" not in values]
    assert [(p["verdict/error"], p["alarms"]) for p in points] == [(1.0, 1), (1.0, 1)]
    assert [line.partition(":")[0] for line in ctx.events.lines if "ALARM" in line] == ["ALARM at step 1"]


@pytest.fixture(scope="module")
def counted(inputs, tmp_path_factory):
    """Inputs with the model of a stage that counted its tokens, and their number."""
    ctx = context(tmp_path_factory.mktemp("counted"), inputs)
    run(ctx, config(steps=3, count_tokens=True))
    totals = json.loads((ctx.out / TOTALS).read_text())
    assert totals == {"sampled_tokens": ctx.events.tokens, "rounds": 3}
    return inputs | {"other": ctx.out}, ctx.events.tokens


MATCHED = {"steps": 2, "group_size": 2, "schedule": "constant", "match_tokens": "other", "save_every": 1}


def test_samples_as_many_tokens_as_another_stage_also_when_resumed(counted, tmp_path):
    inputs, wanted = counted
    run(whole := context(tmp_path / "whole", inputs), config(**MATCHED))
    totals = json.loads((whole.out / TOTALS).read_text())
    assert totals["sampled_tokens"] == whole.events.tokens
    assert totals["rounds"] == whole.events.steps[-1] > MATCHED["steps"]
    most_in_a_round = 4 * 2 * 12
    assert abs(whole.events.tokens - wanted) <= most_in_a_round / 2 + 1

    def interrupt(step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    first = context(tmp_path / "parts", inputs, Recorded(interrupt))
    with pytest.raises(Interrupted):
        run(first, config(**MATCHED))
    run(context(tmp_path / "parts", inputs), config(**MATCHED))
    assert contents(tmp_path / "parts/out") == contents(whole.out)
    shutil.rmtree(whole.out)  # as if it was killed after the last checkpoint
    run(again := context(tmp_path / "whole", inputs), config(**MATCHED))
    assert contents(again.out) == contents(tmp_path / "parts/out") and again.events.tokens == 0


def test_too_few_rounds_for_as_many_tokens_are_an_error(counted, tmp_path):
    with pytest.raises(UserError, match=r"E516 \d+ tokens were sampled in 10 times `steps` rounds, not \d+"):
        run(context(tmp_path, counted[0]), config(**MATCHED | {"steps": 1, "prompts_per_step": 1, "max_new_tokens": 1}))


def test_a_stage_that_does_not_count_cannot_be_matched(inputs, tmp_path):
    with pytest.raises(UserError, match=r"E515 match_tokens names 'base', which does not count"):
        run(context(tmp_path, inputs), config(**MATCHED | {"match_tokens": "base"}))


@pytest.mark.parametrize("name", ["other", "other[seed=1]"])
def test_a_stage_that_does_not_count_is_found_before_anything_runs(name):
    matching = config(**MATCHED)
    for other, codes in ((config(), ["E515"]), (config(count_tokens=True), [])):
        assert [found.code for found in preflight(matching, [SimpleNamespace(name=name, config=other)], False)] == codes
    assert preflight(config(), [SimpleNamespace(name=name, config=config())], False) == []


@pytest.mark.parametrize(
    ("kind", "output", "codes"),
    [
        ("countdown", ArtifactType.PROBLEMS, ["E525"]),
        ("pass_rate", ArtifactType.PROBLEMS, []),
        ("search", ArtifactType.TREES, []),
    ],
)
def test_a_source_without_rates_is_found_before_anything_runs(kind, output, codes):
    source = SimpleNamespace(name="tried", kind=kind, output=output, config=None)
    found = preflight(config(difficulty={"rates": "tried"}), [source], False)
    assert [diagnostic.code for diagnostic in found] == codes


def test_only_a_fixed_number_of_rounds_has_limits():
    assert estimate(config(), {}) == Workload("samples", 64, calls=64, tokens=64 * 12)
    assert estimate(config(**MATCHED), {}) == Workload("samples", 16)


def test_matching_needs_a_constant_rate():
    with pytest.raises(ValueError, match="match_tokens needs a constant schedule"):
        config(**MATCHED | {"schedule": "cosine"})


def test_prompts_divide_among_processes():
    with pytest.raises(ValueError, match=r"must be a multiple of launch\.processes"):
        config(launch={"processes": 3})
