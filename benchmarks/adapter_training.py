"""Tokens per second of our SFT with an adapter against a bare loop with PEFT over the same model and the same batches.

    python -m benchmarks.adapter_training --quick --json

As in `benchmarks.train`, the two alternate, and rates are in CPU time. The model is a Llama wide enough that matrix
products take most of a step. The last line is JSON with the medians and their ratio.
"""

import json
from pathlib import Path

import torch

from astro_factory.training.adapters import Trained, add_adapter
from astro_factory.training.settings import LoraAdapter
from benchmarks.train import make_network, measure, options_from, settings_from


def main() -> None:
    options = options_from(__doc__, hidden=256)
    settings = settings_from(options, steps=5 if options.quick else 20, adapter=LoraAdapter(kind="lora"))
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32

    def bare() -> torch.nn.Module:
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(r=32, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        return get_peft_model(make_network(options.hidden).to(dtype), lora)  # pyright: ignore[reportArgumentType]

    def ours() -> Trained:
        return add_adapter(make_network(options.hidden).to(dtype), settings, Path("none"))  # pyright: ignore[reportArgumentType]

    found = measure(settings, 3 if options.quick else 5, bare, ours)
    print(json.dumps({"benchmark": "adapter_training", "hidden": options.hidden} | found))


if __name__ == "__main__":
    main()
