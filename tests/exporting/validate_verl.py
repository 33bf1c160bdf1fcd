"""Runs in verl's environment: its config classes and checks over exports, and its dataset and loss over their data.

    python tests/exporting/validate_verl.py FOLDER...

A folder may have `expected.json`, what training has to get for each dialogue. Prints a line of JSON for each folder.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from verl.utils.config import omega_conf_to_dataclass, validate_config


def composed(folder: Path) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(folder.resolve()), version_base=None):
        config = compose("config")
    OmegaConf.resolve(config)
    return config


def unknown(folder: Path) -> list[str]:
    """Keys of an export that the config of verl below it does not have."""
    import verl.trainer

    base = yaml.safe_load((folder / "config.yaml").read_text())["defaults"][0]
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(Path(verl.trainer.__path__[0]) / "config"), version_base=None):
        there = compose(base)

    def missing(ours: dict, theirs: object, path: str) -> list[str]:
        found = []
        for key, value in ours.items():
            if not isinstance(theirs, DictConfig) or key not in theirs.keys():  # noqa: SIM118
                found.append(path + key)
            elif isinstance(value, dict):
                found += missing(value, theirs._get_node(key), f"{path}{key}.")
        return found

    own = yaml.safe_load((folder / "config.yaml").read_text())
    return missing({k: v for k, v in own.items() if k not in ("hydra", "defaults", "folder")}, there, "")


def sft(config: DictConfig, expected: list[dict]) -> dict:
    """Whether the dataset gives the expected tokens and weights, and the loss is their weighted mean."""
    from verl.trainer.sft_trainer import create_sft_dataset
    from verl.utils.dataset.dataset_utils import SFTTensorCollator
    from verl.workers.utils.losses import sft_loss

    for name in ("engine", "optim", "checkpoint", "model"):
        omega_conf_to_dataclass(config[name])
    dataset = create_sft_dataset(config.data.train_files, config.data, None, None)
    items = [dataset[index] for index in range(len(dataset))]
    same = [{"input_ids": i["input_ids"].tolist(), "loss_mask": i["loss_mask"].tolist()} for i in items] == expected
    batch = SFTTensorCollator(config.data.pad_mode)(items)
    # verl's log-probability at a place is that of the next token
    chances = [torch.rand(len(item["input_ids"])) for item in items]
    total = sum(float((c[:-1] * item["loss_mask"][1:]).sum()) for c, item in zip(chances, items, strict=True))
    weight = sum(float(item["loss_mask"].sum()) for item in items)
    nested = torch.nested.as_nested_tensor(chances, layout=torch.jagged)
    data = {"loss_mask": batch["loss_mask"], "dp_size": 1, "batch_num_tokens": batch["loss_mask"].values().sum()}
    loss, _ = sft_loss(None, {"log_probs": nested}, Data(data))
    return {"equal": same, "loss": abs(float(loss) + total / weight) < 1e-5}


class Data(dict):
    """As much of a TensorDict as the loss reads."""


def grpo(config: DictConfig) -> dict:
    """The rewards of a right and a wrong answer, by the reward function as verl loads it."""
    from verl.trainer.ppo.reward import get_custom_reward_fn
    from verl.utils.dataset.rl_dataset import RLHFDataset

    beta = config.actor_rollout_ref.actor.use_kl_loss
    whole = OmegaConf.create(OmegaConf.to_container(config))
    if find_spec("vllm") is None:
        whole.actor_rollout_ref.model.lora_rank = 0  # its last check, of the rank, reads vLLM
    validate_config(whole, use_reference_policy=beta, use_critic=False)
    omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    omega_conf_to_dataclass(config.actor_rollout_ref.model)
    omega_conf_to_dataclass(config.algorithm)
    row = RLHFDataset(config.data.train_files, None, config.data).dataframe[0]
    score = get_custom_reward_fn(config)
    known = row["reward_model"]["ground_truth"]
    said = ("answer 4 + ( 10 + 3 )", "answer 4")
    return {"rewards": [score(row["data_source"], text, known, row["extra_info"]) for text in said]}


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        config = composed(folder)
        found: dict = {"folder": str(folder), "unknown": unknown(folder)}
        if "actor_rollout_ref" in config:
            found |= grpo(config)
        else:
            file = folder / "expected.json"
            found |= sft(config, json.loads(file.read_text()) if file.exists() else [])
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("VERL_LOGGING_LEVEL", "ERROR")
    main()
