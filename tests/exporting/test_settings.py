"""Every setting of a stage stands in the trainer's config or among the differences."""

import json
import re
from importlib import import_module
from pathlib import Path
from shutil import rmtree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.core.adapters import AdapterConfig
from astro_factory.core.errors import UserError
from astro_factory.exporting import export_stage
from astro_factory.exporting.common import divided
from astro_factory.exporting.source import Model
from astro_factory.exporting.toml import toml
from astro_factory.stages import grpo, sft
from astro_factory.training.settings import Reward
from tests.exporting.stages import SPEC, TRAINERS, export, make_adapter, make_inputs, source

SHARED = {
    "learning_rate": "0.5",
    "schedule": "linear",
    "min_learning_rate_ratio": "0.25",
    "warmup_steps": "2",
    "optimizer": "muon",
    "weight_decay": "0.125",
    "adam_betas": "[0.5, 0.75]",
    "max_grad_norm": "0",
    "precision": "bf16",
    "attention": "eager",
    "gradient_checkpointing": "true",
    "seed": "7",
    "threads": "2",
    "save_every": "3",
    "save_every_minutes": "5",
    "adapter": "{kind: lora, rank: 4, alpha: 8.5, target_modules: [q_proj]}",
    "adapter of defaults": "{kind: lora}",
    "launch.processes": "2",
    "launch.device": "cpu",
    "launch": "{processes: 4, nodes: 2}",
    "launch.deepspeed": "{zero_stage: 1, offload_optimizer: true}",
}
SFT = SHARED | {
    "epochs": "2",
    "max_steps": "9",
    "batch_size": "4",
    "batch_tokens": "64",
    "micro_batches": "2",
    "length_window": "3",
    "max_length": "30",
    "match_tokens": "lessons",
    "launch": "{processes: 2, fsdp: {reshard_after_forward: false}}",
}
VLLM = "{kind: vllm, max_model_len: 200"
GRPO = SHARED | {
    "steps": "5",
    "prompts_per_step": "2",
    "group_size": "4",
    "max_replacements": "1",
    "count_tokens": "true",
    "temperature": "0.5",
    "max_new_tokens": "60",
    "loss": "dr_grpo",
    "beta": "0.25",
    "epsilon": "0.125",
    "epsilon_high": "0.375",
    "scale_rewards": "batch",
    "num_iterations": "2",
    "mask_truncated": "true",
    "micro_batch_size": "2",
    "template": "talk",
    "difficulty": "{}",
    "start_from": "{trees: trees}",
    "off_policy_steps": "1",
    "reward.correct": "{correct: 2}",
    "reward.incorrect": "{incorrect: -1}",
    "reward.no_answer": "{no_answer: -2}",
    "reward.timeout": "{timeout: -2}",
    "reward.truncated": "{truncated: -2}",
    "reward.length_cost": "{length_cost: 0.5}",
    "rollouts": VLLM + "}",
    "rollouts.correction": VLLM + ", correction: {mode: sequence_mask, max_ratio: 3, min_ratio: 0.5}}",
    "rollouts.mode": VLLM + ", mode: server, server_url: 'http://host:9000'}",
}


ELSEWHERE = {"kind", "model", "data", "problems", "match_tokens", "alarm", "loss", "quantize", "save"}
"""Fields that other tests change, or that are a difference whatever their value."""
MEANINGLESS = {"budget", "heartbeat_s", "grace_s", "log_every", "response_steps"}
"""Fields about the run of a stage here; those of a budget become differences by themselves."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def said(made) -> str:
    """All that an export says: its config, its reward, and how the trainer differs."""
    config = {key: value for key, value in made.translation.config.items() if key != "folder"}
    summary, reward = made.as_json(), made.file("reward.json")
    judge = reward.read_text() if reward.exists() else ""
    text = json.dumps([config, judge, summary["differences"], summary["commands"]], default=str)
    return text.replace(str(made.folder), "FOLDER")


@pytest.mark.parametrize(("kind", "changes"), [(sft.Config, SFT), (grpo.Config, GRPO)], ids=["sft", "grpo"])
def test_every_setting_is_tried(kind, changes):
    tried = {setting.partition(".")[0] for setting in changes} | ELSEWHERE | MEANINGLESS
    assert kind.model_fields.keys() <= tried
    if kind is grpo.Config:
        assert {f"reward.{name}" for name in Reward.model_fields} <= changes.keys()


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize(("stage", "changes"), [("tuned", SFT), ("trained", GRPO)], ids=["sft", "grpo"])
def test_no_setting_is_dropped_silently(inputs, tmp_path, trainer, stage, changes):
    base, dropped = said(export(tmp_path, inputs, trainer, stage)), []
    for setting, value in changes.items():
        name = setting if setting.startswith("launch.") else re.split("[. ]", setting)[0]
        changed = export(tmp_path, inputs, trainer, stage, [f"stages.{stage}.{name}={value}"])
        unexplained = [d for d in changed.translation.differences if "no such setting" in d.text]
        if said(changed) == base or unexplained:
            dropped.append((setting, unexplained))
    assert not dropped


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize(
    "settings",
    [
        ["adapter={kind: lora}", "precision=bf16", "quantize=nf4"],
        ["adapter={kind: lora}", "save=adapter"],
        ["launch.processes=2", f"rollouts={VLLM}}}", "rollouts.tensor_parallel_size=2"],
    ],
    ids=lambda settings: settings[-1],
)
def test_no_setting_that_needs_others_is_dropped_silently(inputs, tmp_path, trainer, settings):
    *needed, _ = sets = [f"stages.trained.{setting}" for setting in settings]
    base = export(tmp_path, inputs, trainer, "trained", needed)
    assert said(export(tmp_path, inputs, trainer, "trained", sets)) != said(base)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_setting_that_no_exporter_knows_becomes_a_difference(inputs, tmp_path, trainer, monkeypatch):
    """As a field would that is added to a stage later."""
    module = import_module(f"astro_factory.exporting.{trainer.replace('-', '_')}")
    monkeypatch.setattr(module, "explain_steps", lambda *_: None)
    changed = export(tmp_path, inputs, trainer, "tuned", ["stages.tuned.length_window=4"])
    found = [(d.setting, d.value) for d in changed.translation.differences if "no such setting" in d.text]
    assert ("length_window", 4) in found


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("stage", ["tuned", "trained"])
def test_an_adapter_is_trained_further_on_its_base(inputs, tmp_path, trainer, stage):
    sets = [f"stages.{stage}.adapter={{kind: lora, rank: 4, alpha: 8, target_modules: [q_proj]}}"]
    outputs = inputs | {"tuned" if stage == "trained" else "blank": make_adapter(tmp_path / "adapter")}
    made = export(tmp_path, outputs, trainer, stage, sets)
    text = json.dumps(made.as_json()["differences"]) + json.dumps(made.translation.config)
    assert str(tmp_path / "adapter" / "base") in text
    if trainer != "prime-rl":  # which names it as a difference
        assert f'"{tmp_path / "adapter"}"' in text
    with pytest.raises(UserError) as error:
        export(tmp_path, outputs, trainer, stage)
    assert error.value.diagnostics[0].code == "E553"


@pytest.fixture
def from_hub(monkeypatch, tmp_path) -> Path:
    """The model of the spec comes from the Hub, whose cache has this folder for it."""
    start, end = SPEC.index("models:"), SPEC.index("problems:")
    hub = SPEC[:start] + "models:\n  blank: {kind: hub, repo: org/model, revision: abc}\n" + SPEC[end:]
    monkeypatch.setattr("tests.exporting.stages.SPEC", hub)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    cached = tmp_path / "hub/models--org--model"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs/abc").write_text("c" * 40)
    return cached / "snapshots" / ("c" * 40)


def test_a_model_of_the_hub_is_named_with_its_commit(inputs, tmp_path, from_hub):
    found = source(tmp_path, inputs, "tuned")
    assert found.model == Model("org/model", "abc")


@pytest.mark.parametrize("named", [False, True])
def test_an_adapter_of_the_hub_is_trained_further_on_its_base(inputs, tmp_path, from_hub, named):
    make_adapter(from_hub)
    base = Model(str(from_hub / "base"), adapter=str(from_hub))
    if named:
        rmtree(from_hub / "base")
        fields = {"base_model_name_or_path": "org/llama", "revision": "d" * 40}
        config = AdapterConfig(r=4, lora_alpha=8, target_modules=["q_proj"]).model_copy(update=fields)
        (from_hub / "adapter_config.json").write_text(config.text())
        base = Model("org/llama", "d" * 40, adapter=str(from_hub))
    adapter = "stages.tuned.adapter={kind: lora, rank: 4, alpha: 8, target_modules: [q_proj]}"
    assert source(tmp_path, inputs, "tuned", [adapter]).model == base
    with pytest.raises(UserError) as error:
        _ = source(tmp_path, inputs, "tuned").model
    assert error.value.diagnostics[0].code == "E553"


@pytest.mark.parametrize(("trainer", "code"), [("verll", "E551"), ("verl", "E154"), ("axolotl", "E552")])
def test_mistakes(inputs, tmp_path, trainer, code, golden):
    if code == "E154":
        (tmp_path / "notes").write_text("mine")
    with pytest.raises(UserError) as error:
        export_stage(trainer, source(tmp_path, inputs, "lessons" if code == "E552" else "tuned"), tmp_path)
    assert error.value.diagnostics[0].code == code
    golden(str(error.value))


@pytest.mark.parametrize("stage", ["tuned", "trained"])
@pytest.mark.parametrize("trainer", TRAINERS)
def test_readme(inputs, tmp_path, trainer, stage, golden):
    made = export(tmp_path, inputs, trainer, stage)
    text = made.file("README.md").read_text()
    assert all(d.text in text for d in made.translation.differences) and made.commands[-1] in text
    if trainer == "verl":
        golden(text.replace(str(inputs["blank"]), "MODEL"))


@given(st.integers(1, 500), st.integers(1, 16), st.integers(1, 64))
def test_micro_batches_hold_a_step(total, processes, parts):
    size, count = divided(total, processes, parts)
    assert total <= size * count * processes < total + processes * count
    assert count <= parts


VALUES = st.one_of(st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.text(max_size=8))
NAMES = st.from_regex(r"[a-z_]{1,6}", fullmatch=True)
TABLES = st.recursive(
    st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=3), max_size=4),
    lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, min_size=1, max_size=2), max_size=3),
    max_leaves=8,
)


@given(TABLES)
def test_toml_reads_as_it_was_written(table):
    import tomllib

    assert tomllib.loads(toml(table)) == table
