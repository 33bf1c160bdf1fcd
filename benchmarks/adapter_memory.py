"""Memory of steps of SFT with an adapter on a CPU against the prediction of `plan`.

    python -m benchmarks.adapter_memory llama-3.2-1b --json

The model has the shape of the named one and random weights in bf16; the trainer is that of the SFT stage. What is
measured is the anonymous memory of the process, many times in a step: files that the kernel may drop do not count. The
last line is JSON.
"""

import argparse
import json
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from astro_factory.core.machines import GB, Machine
from astro_factory.core.model_shapes import ModelShape, read_shape
from astro_factory.core.workload import Workload
from astro_factory.stages.requirements import training_needs
from astro_factory.training.adapters import Trained, add_adapter
from astro_factory.training.corpus import Corpus
from astro_factory.training.settings import SFTSettings
from astro_factory.training.sft import make_arguments, make_trainer, plan_micro_batches
from astro_factory.training.trainers import train
from astro_factory.training.weights import silence_transformers
from benchmarks.train import Silent, make_tokenizer

SHAPES: dict[str, dict[str, Any]] = {
    "smollm2-135m": {
        **{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "vocab_size": 49152},
        **{"num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64},
    },
    "llama-3.2-1b": {
        **{"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "vocab_size": 128256},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64},
    },
}
_COMMON = {"model_type": "llama", "tie_word_embeddings": True, "max_position_embeddings": 8192}
_STEPS = 2
"""The optimizer states exist from the second step on."""
_EVERY_S = 0.005


class AnonymousMemory:
    """The most anonymous memory of this process between `__enter__` and `__exit__`, in bytes."""

    def __init__(self):
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "AnonymousMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_EVERY_S):
            self.peak = max(self.peak, anonymous_memory())


def anonymous_memory() -> int:
    """Bytes of this process that are no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [found] = [line for line in lines if line.startswith("RssAnon:")]
    return 1024 * int(found.split()[1])


def make_network(shape: dict[str, Any], settings: SFTSettings) -> Trained:
    """A model with random weights in bf16, without a copy in single precision."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**shape | _COMMON, attn_implementation="eager", dtype="bfloat16")
    with torch.device("meta"):
        network = LlamaForCausalLM(config).to(torch.bfloat16)
    network.to_empty(device="cpu")
    network.tie_weights()
    with torch.no_grad():
        for weight in network.parameters():
            weight.uniform_(-0.02, 0.02)
    network.model.rotary_emb = type(network.model.rotary_emb)(config)  # its frequencies are no weights
    return add_adapter(network, settings, Path("none"))


def make_corpus(count: int, length: int) -> Corpus:
    ids = np.random.default_rng(0).integers(2, 1000, count * length).astype(np.int32)
    starts = np.arange(0, count * length + 1, length)
    return Corpus(ids, np.ones(len(ids), bool), np.zeros(len(ids), bool), starts, 0)


def predicted(shape: ModelShape, settings: SFTSettings) -> float:
    """What `plan` says of a machine without GPUs, in bytes."""
    return training_needs(settings, shape, Workload("sequences", 0), Machine(host_gb=1)).host or 0.0


def measured(shape: dict[str, Any], settings: SFTSettings, length: int) -> int:
    torch.set_num_threads(settings.threads)
    corpus = make_corpus(_STEPS * settings.batch_size, length)
    rows = plan_micro_batches(settings, corpus)
    with tempfile.TemporaryDirectory() as work, AnonymousMemory() as memory:
        arguments = make_arguments(settings, Path(work), len(rows))
        arguments.save_strategy = "no"  # pyright: ignore[reportAttributeAccessIssue]
        trainer = make_trainer(settings, arguments, make_network(shape, settings), make_tokenizer(), corpus, rows)
        train(trainer, settings, Path(work), Silent())
    return memory.peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--sequences", type=int, default=2)
    parser.add_argument("--length", type=int, default=256, help="tokens of each sequence")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON (always so; kept for scripts)")
    options = parser.parse_args()
    silence_transformers()
    settings = SFTSettings.model_validate(
        {
            **{"model": "m", "data": "d", "learning_rate": 1e-4, "adapter": {"kind": "lora"}},
            **{"precision": options.precision, "gradient_checkpointing": options.checkpointing},
            **{"batch_size": options.sequences, "max_length": options.length, "max_steps": _STEPS},
        }
    )
    shape = read_shape(SHAPES[options.shape] | _COMMON)
    assert shape is not None
    expected, libraries = predicted(shape, settings), anonymous_memory()
    found = measured(SHAPES[options.shape], settings, options.length)
    values = {"libraries_gb": libraries, "measured_gb": found, "predicted_gb": expected}
    values = {name: round(size / GB, 2) for name, size in values.items()}
    print(json.dumps({"benchmark": "adapter_memory", **vars(options), **values, "ratio": round(expected / found, 3)}))


if __name__ == "__main__":
    main()
