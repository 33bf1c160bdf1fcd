"""Adapters: what is trained, what is saved, who reads it."""

import json
import os
import shutil
import signal

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from astro_factory.core.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from astro_factory.core.errors import UserError
from astro_factory.engines import Request, open_engine
from astro_factory.engines.config import TransformersConfig
from astro_factory.stages.sft import Config, run
from astro_factory.training import adapters
from astro_factory.training.adapters import linear_layers, merged_weights
from astro_factory.training.failures import Interrupted
from astro_factory.training.loading import load_causal_model
from astro_factory.training.settings import LoraAdapter
from astro_factory.training.weights import load_model
from tests.training.tiny import Recorded, contents, context, make_dialogues, make_model

LORA = {"kind": "lora", "rank": 4, "alpha": 16}
IDS = torch.arange(1, 41)[None]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    return {"base": make_model(root / "base"), "data": make_dialogues(root / "data")}


def config(**changes) -> Config:
    fields = {"kind": "sft", "model": "base", "data": "data", "learning_rate": 2e-2, "batch_size": 8, "log_every": 1}
    return Config(**fields | {"adapter": LORA} | changes)


@pytest.fixture(scope="module")
def trained(inputs, tmp_path_factory):
    """The outputs of one training, merged and as an adapter."""
    made = {}
    for save in ("merged", "adapter"):
        ctx = context(tmp_path_factory.mktemp(save), inputs)
        run(ctx, config(save=save, epochs=2))
        losses = [values["loss"] for _, values in ctx.events.metrics]
        assert losses[-1] < losses[0] and not [line for line in ctx.events.lines if "WARNING" in line]
        made[save] = ctx.out
    return made


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits


def test_a_merged_artifact_is_a_model_folder_like_its_base(inputs, trained):
    made, given = contents(trained["merged"]), contents(inputs["base"])
    assert made.keys() == given.keys()
    assert {name for name in made if made[name] != given[name]} == {"model.safetensors"}
    one, other = (load_file(folder / "model.safetensors") for folder in (trained["merged"], inputs["base"]))
    moved = {name.split(".")[-2] for name in one if not torch.equal(one[name], other[name])}
    assert moved == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_an_adapter_artifact_is_small_and_holds_its_base(inputs, trained):
    folder = trained["adapter"]
    assert contents(folder / "base") == contents(inputs["base"])
    written = json.loads((folder / ADAPTER_CONFIG).read_text())
    assert (written["r"], written["lora_alpha"], written["base_model_name_or_path"]) == (4, 16, "base")
    assert len(load_file(folder / ADAPTER_WEIGHTS)) == 2 * 7 * 2


def test_merged_and_adapter_have_equal_logits_in_every_loader(trained, inputs):
    whole = logits(AutoModelForCausalLM.from_pretrained(trained["merged"]))
    base = AutoModelForCausalLM.from_pretrained(trained["adapter"] / "base")
    assert (logits(base) - whole).abs().max() > 0.1, "training changed something"
    ours = logits(load_causal_model(trained["adapter"]))
    theirs = logits(PeftModel.from_pretrained(base, trained["adapter"]))
    assert (ours - whole).abs().max() < 1e-5
    assert (theirs - whole).abs().max() < 1e-5


def test_engines_sample_from_the_adapter(trained):
    request = Request(tuple(range(6, 20)), seeds=(1, 2, 3, 4), max_tokens=20)
    found = []
    for folder in (trained["merged"], trained["adapter"], trained["adapter"] / "base"):
        with open_engine(TransformersConfig(kind="transformers"), folder) as engine:
            found.append([sample.ids for sample in engine.generate([request])[0]])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("settings", [{}, {"save": "adapter", "precision": "bf16"}])
def test_a_resumed_run_gives_the_bytes_of_one_that_never_stopped(inputs, tmp_path, settings):
    def interrupt(step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    run(whole := context(tmp_path / "whole", inputs), config(**settings))
    with pytest.raises(Interrupted, match="stopped after step 3"):
        run(context(tmp_path / "parts", inputs, Recorded(interrupt)), config(**settings))
    run(rest := context(tmp_path / "parts", inputs), config(**settings))
    assert rest.events.steps == [4, 5]
    assert contents(rest.out) == contents(whole.out)


def test_bits_do_not_depend_on_gradient_checkpointing(inputs, tmp_path, trained):
    run(ctx := context(tmp_path, inputs), config(epochs=2, gradient_checkpointing=True))
    assert contents(ctx.out) == contents(trained["merged"])


def test_an_adapter_is_trained_further_from_where_it_is(trained, inputs, tmp_path):
    run(ctx := context(tmp_path, inputs | {"base": trained["adapter"]}), config(save="adapter", learning_rate=1e-9))
    first, second = (load_file(folder / ADAPTER_WEIGHTS) for folder in (trained["adapter"], ctx.out))
    assert max((first[name] - second[name]).abs().max() for name in first) < 1e-6
    assert contents(ctx.out / "base") == contents(inputs["base"])


def test_full_training_of_an_adapter_starts_from_the_merged_model(trained, inputs):
    start = load_model(config(adapter=None), trained["adapter"])
    merged = load_model(config(adapter=None), trained["merged"])
    for one, other in zip(start.parameters(), merged.parameters(), strict=True):
        assert torch.equal(one, other)


def test_weights_for_an_engine_are_merged_and_the_model_stays(trained):
    model = load_model(config(), trained["adapter"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sent, whole = dict(merged_weights(model)), dict(load_causal_model(trained["merged"]).named_parameters())
    assert sent.keys() == whole.keys()
    assert all(torch.allclose(sent[name], whole[name], atol=1e-6) for name in whole)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "code", "cause", "remedy"),
    [
        (
            {"adapter": LORA | {"target_modules": ["query", "v_proj"]}},
            "E530",
            "the model has no linear layers called 'query', which adapter.target_modules names",
            "it has 'down_proj', 'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj'",
        ),
        (
            {"adapter": LORA | {"rank": 1000}},
            "E534",
            "the adapter has rank 1,000, and no matrix that it changes has a rank above 64",
            "lower adapter.rank",
        ),
        ({"quantize": "nf4", "precision": "bf16"}, "E532", "quantize: nf4 needs a GPU", "leave out quantize"),
        ({"optimizer": "adamw_8bit"}, "E532", "optimizer: adamw_8bit needs a GPU", "use adamw"),
    ],
)
def test_mistakes_are_said_plainly(inputs, tmp_path, changes, code, cause, remedy):
    with pytest.raises(UserError) as error:
        run(context(tmp_path, inputs), config(**changes))
    [diagnostic] = error.value.diagnostics
    assert diagnostic.code == code and cause in diagnostic.cause and remedy in diagnostic.remedy


@pytest.mark.parametrize(
    ("changes", "missing", "cause"),
    [
        ({}, "peft", "adapter needs peft, which is not installed"),
        ({"quantize": "nf4", "precision": "bf16"}, "bitsandbytes", "quantize: nf4 needs bitsandbytes, which is not"),
    ],
)
def test_a_missing_library_is_named(inputs, tmp_path, monkeypatch, changes, missing, cause):
    monkeypatch.setattr(adapters, "find_spec", lambda name: None if name == missing else name)
    monkeypatch.setattr(adapters, "torch_device", lambda: "cuda")
    with pytest.raises(UserError, match=f"E533 {cause}"):
        run(context(tmp_path, inputs), config(**changes))


def test_an_adapter_with_other_settings_cannot_continue(trained, inputs, tmp_path):
    with pytest.raises(UserError, match="E531 'base' is an adapter with other settings") as error:
        run(context(tmp_path, inputs | {"base": trained["adapter"]}), config(adapter=LORA | {"rank": 8}))
    assert "use rank 4, alpha 16 and target_modules [down_proj, " in str(error.value)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"adapter": None, "save": "adapter"}, "save: adapter needs an adapter"),
        ({"adapter": None, "quantize": "nf4", "precision": "bf16"}, "weights in 4 bits cannot be trained"),
        ({"optimizer": "muon"}, "muon is for whole matrices"),
        ({"quantize": "nf4"}, "quantize: nf4 computes in bf16"),
        ({"adapter": LORA | {"target_modules": ["lm_head"]}}, "'lm_head' cannot have an adapter"),
        ({"adapter": LORA | {"target_modules": []}}, "name at least one module"),
        ({"adapter": LORA | {"target_modules": ["q_proj", "v_proj", "q_proj"]}}, "it names 'q_proj' twice"),
    ],
)
def test_settings_that_contradict_each_other(changes, cause):
    with pytest.raises(ValueError, match=cause):
        config(**changes)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"use_dora": True}, "use_dora is not supported"),
        ({"peft_type": "IA3"}, "peft_type"),
        ({"r": 0}, "r: Input should be greater"),
        ({"target_modules": None}, "target_modules"),
        ({"target_modules": "(q|v)_proj"}, "target_modules"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights 'pissa_niter_4' has changed the base"),
        ({"init_lora_weights": "olora"}, "init_lora_weights 'olora' has changed the base"),
        ({"r": 8}, ", which is not of rank 8"),
        ({"target_modules": ["q_proj"]}, "belongs to no module of target_modules"),
    ],
)
def test_adapters_of_other_forms_are_refused(trained, tmp_path, change, cause):
    folder = shutil.copytree(trained["adapter"], tmp_path / "other")
    file = folder / ADAPTER_CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match="E432") as error:
        load_causal_model(folder)
    assert cause in str(error.value)


def renamed(tensors):
    """Names of tensors as older versions of PEFT or other training scripts write them."""
    return {name.replace(".weight", ".default.weight"): value for name, value in tensors.items()}


def with_embedding(tensors):
    """As PEFT saves an adapter whose tokenizer got more tokens."""
    return tensors | {"base_model.model.model.embed_tokens.weight": torch.zeros(8, 64)}


def half(tensors):
    return {name: value for name, value in tensors.items() if "0.self_attn.q_proj.lora_B" not in name}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (renamed, "lora_A.default.weight' is not part of a LoRA adapter of linear layers"),
        (with_embedding, "embed_tokens.weight' is not part of a LoRA adapter of linear layers"),
        (half, "0.self_attn.q_proj.lora_A.weight' lacks its counterpart"),
        (lambda tensors: {}, "it has no tensors"),
    ],
)
def test_no_tensor_of_an_adapter_is_left_out_silently(trained, tmp_path, change, cause):
    """What is loaded would be the base, or another model than the one that was trained."""
    folder = shutil.copytree(trained["adapter"], tmp_path / "other")
    save_file(change(load_file(folder / ADAPTER_WEIGHTS)), folder / ADAPTER_WEIGHTS)
    with pytest.raises(UserError, match="E432") as error:
        load_causal_model(folder)
    assert cause in str(error.value)


def test_an_adapter_of_an_adapter_is_refused(trained, tmp_path):
    folder = shutil.copytree(trained["adapter"], tmp_path / "upper")
    shutil.rmtree(folder / "base")
    shutil.copytree(trained["adapter"], folder / "base")
    with pytest.raises(UserError, match=r"E432 .* it is an adapter of an adapter"):
        load_causal_model(folder)


def test_a_model_without_linear_layers_is_named():
    """GPT-2's layers are of another class, which PEFT's `all-linear` leaves out too."""
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=50, n_positions=32))
    with pytest.raises(UserError, match="E530 the model has no linear layers that an adapter could change"):
        adapters.adapter_config(LoraAdapter(kind="lora"), model)


def test_all_linear_leaves_out_the_output_layer(inputs):
    model = load_causal_model(inputs["base"])
    assert "lm_head" not in linear_layers(model) and len(linear_layers(model)) == 7
    assert LoraAdapter(kind="lora").target_modules == "all-linear"


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", [None, 1, 2, 3])
def test_two_processes_train_the_adapter_of_one_and_resume(inputs, tmp_path, stage):
    """With DDP, and with each stage of DeepSpeed."""
    if stage:
        pytest.importorskip("deepspeed")
    settings = {"epochs": 2, "save": "adapter", "weight_decay": 0.1, "save_every": 4}
    launch = {"processes": 2, "deepspeed": stage and {"zero_stage": stage}}
    run(one := context(tmp_path / "one", inputs), config(**settings))
    run(two := context(tmp_path / "two", inputs), config(**settings, launch=launch))
    assert not [line for line in two.events.lines if "WARNING" in line]
    for name in ("loss", "grad_norm"):
        curves = [[values[name] for _, values in ctx.events.metrics] for ctx in (one, two)]
        assert curves[0] == pytest.approx(curves[1], abs=1e-4), name
    first, second = (load_file(ctx.out / ADAPTER_WEIGHTS) for ctx in (one, two))
    assert max((first[name] - second[name]).abs().max() for name in first) < 1e-3
    assert contents(one.out).keys() == contents(two.out).keys()

    checkpoint = "checkpoints/checkpoint-8"
    rest = context(tmp_path / "rest", inputs)
    shutil.copytree(two.scratch / checkpoint, rest.scratch / checkpoint)
    run(rest, config(**settings, launch=launch))
    assert rest.events.steps == [9, 10]
    assert contents(rest.out) == contents(two.out)
