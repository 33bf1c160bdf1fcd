"""The trainers' own validators accept exports; they stand in environments of their own (`make exporters-setup`).

prime-rl is not on PyPI: its configs are compared with a list of its field names.
"""

import json
import os
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.exporting.stages import collated, export, make_adapter, make_inputs
from tests.training.test_corpus import write_traces

ROOT = Path(__file__).parents[2]
ADAPTER = "{kind: lora, rank: 4, alpha: 8, target_modules: [q_proj]}"
VLLM = "{kind: vllm, max_model_len: 200, correction: {mode: token_truncate, max_ratio: 3}}"
VARIANTS = {
    "tuned": [
        [],
        ["adapter={kind: lora}", "precision=bf16", "quantize=nf4", "optimizer=adamw_8bit"],
        ["launch={processes: 4, nodes: 2, fsdp: {}}", "schedule=constant", "warmup_steps=2", "loss=all"],
        ["launch={processes: 2, deepspeed: {zero_stage: 3}}", "schedule=linear", "max_grad_norm=0"],
        ["optimizer=muon", "batch_tokens=200", "min_learning_rate_ratio=0.5", "weight_decay=0.5"],
    ],
    "trained": [
        [],
        ["rollouts=" + VLLM, "beta=0.5", "loss=dr_grpo", "num_iterations=2", "reward={truncated: -1}"],
        ["launch={processes: 4, nodes: 2}", "loss=cispo", "scale_rewards=batch", "epsilon_high=4"],
        ["adapter=" + ADAPTER, "loss=grpo", "max_replacements=2", "gradient_checkpointing=true"],
    ],
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def exports(folder: Path, inputs, trainer: str) -> Iterator[tuple[Path, str, list[str]]]:
    """An export of each variant, with what training has to get in `expected.json`."""
    weighted = inputs | {"lessons": folder / "traces"}
    write_traces(weighted["lessons"], "weight", [("1 + 2 = 3", 1.0), ("Wait No", 0.25), ("4 + 1 = 5", 0.0)])
    adapted = inputs | {"tuned": make_adapter(folder / "adapter")}
    for stage, variants in VARIANTS.items():
        for changes in variants:
            if trainer == "axolotl" and "max_replacements=2" in changes:
                changes = [change for change in changes if not change.startswith("max_")]
            is_adapter = stage == "trained" and f"adapter={ADAPTER}" in changes
            outputs = adapted if is_adapter else inputs
            if stage == "tuned" and trainer == "verl" and not changes:
                outputs = weighted
            if stage == "trained" and not is_adapter:
                outputs = outputs | {"tuned": inputs["blank"]}
            made = export(folder, outputs, trainer, stage, [f"stages.{stage}.{change}" for change in changes])
            if stage == "tuned":
                loss = "all" if "loss=all" in changes else "response"
                write_expected(made.folder, trainer, collated(outputs, loss))
            yield made.folder, stage, changes


def write_expected(folder: Path, trainer: str, rows: list[dict[str, list]]) -> None:
    expected = []
    for row in rows:
        labels = [-100, *row["labels"][1:]]
        weights = row.get("loss_weights", [1.0] * len(labels))
        mask = [weight * (label != -100) for weight, label in zip(weights, labels, strict=True)]
        own = {"labels": labels} if trainer == "axolotl" else {"loss_mask": mask}
        expected.append({"input_ids": row["input_ids"], **own})
    (folder / "expected.json").write_text(json.dumps(expected))


def validated(trainer: str, folders: list[Path]) -> list[dict]:
    """What the validator says of each folder, in the trainer's environment."""
    python = ROOT / f".venv-{trainer}/bin/python"
    if not python.exists():
        pytest.skip(f"needs .venv-{trainer}: make exporters-setup")
    command = [str(python), str(ROOT / f"tests/exporting/validate_{trainer}.py"), *map(str, folders)]
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "AXOLOTL_DO_NOT_TRACK": "1",
    }
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"folder"')]


@pytest.mark.nightly
def test_axolotl_accepts_its_exports(inputs, tmp_path):
    made = list(exports(tmp_path, inputs, "axolotl"))
    found = validated("axolotl", [folder for folder, _, _ in made])
    assert len(found) == len(made)
    for (_, stage, changes), said in zip(made, found, strict=True):
        assert said["lost"] == [], changes
        assert said["equal"] if stage == "tuned" else said["rewards"][0] > said["rewards"][1], changes


@pytest.mark.nightly
def test_verl_accepts_its_exports(inputs, tmp_path):
    made = list(exports(tmp_path, inputs, "verl"))
    found = validated("verl", [folder for folder, _, _ in made])
    assert len(found) == len(made)
    for (_, stage, changes), said in zip(made, found, strict=True):
        assert said["unknown"] == [], changes
        if stage == "tuned":
            assert said["equal"] and said["loss"], changes
        else:
            assert said["rewards"][0] > said["rewards"][1], changes


def leaves(config: Mapping, path: str = "") -> Iterator[str]:
    """Dotted names; of a list of tables those of its items."""
    for key, value in config.items():
        inner = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else value
        if isinstance(inner, dict):
            yield from leaves(inner, f"{path}{key}.")
        else:
            yield path + key


def test_prime_rl_has_every_field_of_its_exports(inputs, tmp_path):
    known = json.loads((Path(__file__).parent / "prime_rl_fields.json").read_text())
    names = {"tuned": "sft.toml", "trained": "rl.toml"}
    for folder, stage, changes in exports(tmp_path, inputs, "prime-rl"):
        config = tomllib.loads((folder / names[stage]).read_text())
        assert not set(leaves(config)) - set(known[names[stage]]), changes
