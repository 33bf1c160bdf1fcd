"""Runs in axolotl's environment: its validators over exports, and its loader over their data.

    python tests/exporting/validate_axolotl.py FOLDER...

A folder may have `expected.json`, what training has to get for each dialogue. Prints a line of JSON for each folder.
"""

import json
import os
import sys
from pathlib import Path

import yaml
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault

_MACHINE = {"bf16": True, "fp8": False, "tf32": True, "n_gpu": 2, "n_node": 1, "compute_capability": "sm_90"}


def lost(written: dict, found: dict, path: str = "") -> list[str]:
    """Keys whose values validation dropped or changed; it adds defaults beside them."""
    names = []
    for key, value in written.items():
        there = found.get(key)
        pairs = [(value, there)]
        if isinstance(value, list) and isinstance(there, list) and len(value) == len(there):
            pairs = list(zip(value, there, strict=True))
        for ours, theirs in pairs:
            if isinstance(ours, dict) and isinstance(theirs, dict):
                names += lost(ours, theirs, f"{path}{key}.")
            elif ours != theirs:
                names.append(path + key)
    return names


def tokens(config: DictDefault) -> list[dict]:
    """The rows that axolotl takes for tokenized."""
    from axolotl.utils.data.shared import load_dataset_with_config
    from axolotl.utils.data.wrappers import get_dataset_wrapper

    dataset = load_dataset_with_config(config.datasets[0], False, streaming=False)
    if "train" in dataset:
        dataset = dataset["train"]
    wrapped, _ = get_dataset_wrapper(config.datasets[0], None, config, None, dataset)
    assert wrapped is dataset, "axolotl would tokenize the data again"
    return [{name: row[name] for name in ("input_ids", "labels")} for row in dataset]


def rewards(config: DictDefault) -> list:
    """The reward function as axolotl loads it, on a right and a wrong answer; and TRL's own check of the arguments."""
    from axolotl.core.trainers.grpo import GRPOStrategy
    from trl import GRPOConfig

    sys.path.insert(0, os.getcwd())
    [function] = GRPOStrategy.set_trainer_args(config)[0]
    arguments = {
        name: value for name, value in GRPOStrategy.set_training_args_kwargs(config).items() if name in vars(GRPOConfig)
    }
    GRPOConfig(
        output_dir="out",
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=config.micro_batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        **{name: value for name, value in arguments.items() if not name.startswith("vllm") and name != "use_vllm"},
    )
    from datasets import load_dataset

    row = load_dataset("parquet", data_files="train.parquet")["train"][0]
    said = [[{"role": "assistant", "content": text}] for text in ("answer 4 + ( 10 + 3 )", "answer 4")]
    return function([row["prompt"]] * 2, said, completion_ids=[[2], [2]], problem=[row["problem"]] * 2)


def main() -> None:
    home = os.getcwd()
    for folder in map(Path, sys.argv[1:]):
        os.chdir(folder)
        written = yaml.safe_load(Path("config.yaml").read_text())
        config = validate_config(
            DictDefault(yaml.safe_load(Path("config.yaml").read_text())), _MACHINE, {"torch_version": "2.13.0"}
        )
        found = {"folder": str(folder), "lost": lost(written, config.to_dict())}
        if config.rl:
            found["rewards"] = rewards(config)
        elif Path("expected.json").exists():
            found["equal"] = tokens(config) == json.loads(Path("expected.json").read_text())
        print(json.dumps(found), flush=True)
        os.chdir(home)


if __name__ == "__main__":
    main()
