import os
import signal

import pytest
from safetensors.torch import load_file, save_file

from astro_factory.core.errors import UserError
from astro_factory.core.workload import Workload
from astro_factory.stages.sft import Config, estimate, run
from astro_factory.training import saving, trainers
from astro_factory.training.failures import Interrupted
from astro_factory.training.saving import SavedTensors
from tests.training.tiny import Recorded, contents, context, make_dialogues, make_model


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    return {"base": make_model(root / "base"), "data": make_dialogues(root / "data")}


def config(**changes) -> Config:
    fields = {"kind": "sft", "model": "base", "data": "data", "learning_rate": 2e-3, "batch_size": 8, "log_every": 2}
    return Config(**fields | changes)


def test_output_is_a_model_folder_with_the_parents_tokenizer(inputs, tmp_path):
    ctx = context(tmp_path, inputs)
    run(ctx, config(epochs=4))
    made, given = contents(ctx.out), contents(inputs["base"])
    assert made.keys() == given.keys()
    assert {name for name in made if made[name] != given[name]} == {"model.safetensors"}
    losses = [values["loss"] for _, values in ctx.events.metrics]
    assert losses[-1] < losses[0]
    assert ctx.events.steps[-1] == 20
    assert ctx.events.phases == ["load", "train", "save"]
    assert ctx.events.tokens == ctx.events.metrics[-1][1]["tokens"] > 100


@pytest.mark.parametrize("settings", [{"optimizer": "muon", "precision": "bf16"}, {"micro_batches": 2}])
def test_a_resumed_run_gives_the_bytes_of_one_that_never_stopped(inputs, tmp_path, settings):
    whole = context(tmp_path / "whole", inputs)
    run(whole, config(epochs=2, **settings))

    def interrupt(step):
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    first = context(tmp_path / "parts", inputs, Recorded(interrupt))
    with pytest.raises(Interrupted, match="stopped after step 7"):
        run(first, config(epochs=2, **settings))
    second = context(tmp_path / "parts", inputs)
    run(second, config(epochs=2, **settings))
    assert second.events.steps == [8, 9, 10]
    assert contents(second.out) == contents(whole.out)


@pytest.mark.parametrize("settings", [{}, {"precision": "bf16", "optimizer": "muon"}])
def test_bits_do_not_depend_on_fields_outside_the_key(inputs, tmp_path, settings):
    made = []
    others = {"log_every": 3, "save_every": 4, "save_every_minutes": 1e-6, "grace_s": 1, "gradient_checkpointing": True}
    for name, outside in {"a": {}, "b": others}.items():
        ctx = context(tmp_path / name, inputs)
        run(ctx, config(**settings, **outside))
        made.append(contents(ctx.out))
    assert made[0] == made[1]
    assert len(list((tmp_path / "b" / "work" / "checkpoints").glob("checkpoint-*"))) == 2, "saved by time, two are kept"


@pytest.mark.parametrize("multiplies", [False, True])
def test_without_instructions_for_bf16_a_cpu_computes_in_single_precision(inputs, tmp_path, monkeypatch, multiplies):
    monkeypatch.setattr(trainers, "cpu_multiplies_bf16", lambda: multiplies)
    asked, single = context(tmp_path / "asked", inputs), context(tmp_path / "single", inputs)
    run(asked, config(precision="bf16"))
    run(single, config(precision="fp32"))
    assert (contents(asked.out) == contents(single.out)) == (not multiplies)
    assert [line for line in asked.events.lines if "fp32" in line] == [
        "this CPU cannot multiply in bf16: it computes in fp32"
    ] * (not multiplies)
    assert not [line for line in single.events.lines if "bf16" in line]


def stopped_at(step: int, inputs, folder, **settings):
    """A run that was interrupted after a step, with its checkpoint."""

    def interrupt(done):
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match=f"stopped after step {step}"):
        run(context(folder, inputs, Recorded(interrupt)), config(**settings))


@pytest.mark.parametrize("changes", [{"micro_batches": 4}, {"attention": "sdpa"}, {"threads": 2}])
def test_a_checkpoint_continues_across_what_moves_only_the_last_bits(inputs, tmp_path, changes):
    run(whole := context(tmp_path / "whole", inputs), config(epochs=2))
    stopped_at(7, inputs, tmp_path / "parts", epochs=2)
    run(rest := context(tmp_path / "parts", inputs), config(epochs=2, **changes))
    assert rest.events.steps == [8, 9, 10]
    one, other = (load_file(ctx.out / "model.safetensors") for ctx in (whole, rest))
    # rounding grows through Adam's division by small second moments
    assert max((one[name] - other[name]).abs().max().item() for name in one) < 1e-4


def test_a_saved_model_that_differs_is_a_warning_and_the_run_is_kept(inputs, tmp_path, monkeypatch):
    def damaged(folder):
        tensors = load_file(folder / "model.safetensors")
        tensors["model.norm.weight"][0] += 1
        del tensors["model.layers.0.mlp.up_proj.weight"]
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return SavedTensors(folder)

    whole, ctx = context(tmp_path / "whole", inputs), context(tmp_path / "damaged", inputs)
    run(whole, config())
    monkeypatch.setattr(saving, "SavedTensors", damaged)
    run(ctx, config())
    warnings = [line for line in ctx.events.lines if "WARNING" in line]
    assert warnings == [
        "WARNING: the saved model differs from the trained one in 2 tensors: model.layers.0.mlp.up_proj.weight, "
        "model.norm.weight"
    ]
    assert not [line for line in whole.events.lines if "WARNING" in line]
    assert whole.events.compared == len(load_file(whole.out / "model.safetensors"))


def test_trains_on_as_many_tokens_as_other_traces_have(inputs, tmp_path):
    longer = make_dialogues(tmp_path / "longer", count=100, seed=1)
    run(other := context(tmp_path / "other", inputs | {"data": longer}), config(epochs=2))
    run(ctx := context(tmp_path / "arm", inputs | {"longer": longer}), config(epochs=2, match_tokens="longer"))
    one_step = other.events.tokens / other.events.steps[-1]
    assert abs(ctx.events.tokens - other.events.tokens) <= one_step
    assert ctx.events.steps[-1] > 2 * len(list(range(0, 40, 8)))
    [line] = [line for line in ctx.events.lines if "to match" in line]
    assert line == f"trains on {ctx.events.tokens} tokens to match {other.events.tokens} of 'longer'"


def test_a_number_of_steps_cannot_match_tokens():
    with pytest.raises(ValueError, match="match_tokens sets the number of steps; remove max_steps"):
        config(match_tokens="longer", max_steps=3)


def test_estimate_of_matched_tokens_is_that_of_the_other_traces():
    rows = {"data": 10, "longer": 30}
    assert estimate(config(epochs=2, match_tokens="longer"), rows) == Workload("sequences", 60)
    assert estimate(config(epochs=2), rows) == Workload("sequences", 20)


def test_a_torn_checkpoint_is_passed_over(inputs, tmp_path):
    whole = context(tmp_path / "whole", inputs)
    run(whole, config(save_every=2))
    torn = context(tmp_path / "torn", inputs)
    (torn.scratch / "checkpoints" / "checkpoint-4").mkdir(parents=True)
    run(torn, config(save_every=2))
    assert contents(torn.out) == contents(whole.out)


def test_long_dialogues_are_left_out_and_counted(inputs, tmp_path):
    ctx = context(tmp_path, inputs)
    run(ctx, config(max_length=20))
    assert ctx.events.lines[0].split("; ")[1].endswith("left out because they are too long")
    assert int(ctx.events.lines[0].split("; ")[1].split()[0]) > 0


@pytest.mark.parametrize(
    ("settings", "code", "cause"),
    [
        ({"max_length": 300}, "E505", "max_length is 300, but the model has 256 positions"),
        ({"max_length": 5}, "E501", "all 40 dialogues are longer than 5 tokens"),
        ({"learning_rate": 1e30, "max_grad_norm": 0, "log_every": 1}, "E504", "the loss is nan at step"),
    ],
)
def test_mistakes_are_said_plainly(inputs, tmp_path, settings, code, cause):
    with pytest.raises(UserError) as error:
        run(context(tmp_path, inputs), config(**settings))
    [diagnostic] = error.value.diagnostics
    assert diagnostic.code == code
    assert cause in diagnostic.cause
    assert diagnostic.remedy
