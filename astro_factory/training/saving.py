"""Saving a trained model: equal weights give equal bytes; the written tensors are compared with the trained ones."""

import json
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer

from astro_factory.core.context import Events
from astro_factory.core.models import model_source

_TOKENIZER_FILES = (
    "tokenizer*",
    "chat_template*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
)
_NAMED = 3
"""Tensors that a warning names."""


def save_model(trainer: Trainer, folder: Path, out: Path, events: Events) -> None:
    """Write the trained model to `out`, with the data type and the tokenizer of the original in `folder`.

    All processes call this; the first one writes. Then the files are compared with the trained weights, one tensor at a
    time, which reports progress. A difference is a warning: the run is kept, and so are its checkpoints.
    """
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)  # pyright: ignore[reportArgumentType]
    assert isinstance(model, PreTrainedModel)
    gathered = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    first = trainer.is_world_process_zero()
    if first:
        assert isinstance(gathered, dict)
        _write(model, gathered, model_source(folder), out)
    trainer.accelerator.wait_for_everyone()
    wrong = _differing_tensors(model, SavedTensors(out) if first else None, events)
    if wrong:
        names = ", ".join(wrong[:_NAMED]) + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else "")
        events.log(f"WARNING: the saved model differs from the trained one in {len(wrong)} tensors: {names}")


def _write(model: PreTrainedModel, gathered: Mapping[str, object], source: Path, out: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    dtype = getattr(torch, config.get("dtype") or config.get("torch_dtype") or "float32")
    left_out: set[str] = set()
    if model.config.tie_word_embeddings:  # one tensor with two names; the embedding's is saved
        output = model.get_output_embeddings()
        left_out = {f"{name}.weight" for name, module in model.named_modules() if module is output}
    state = {
        name: value.to("cpu", dtype)
        for name, value in gathered.items()
        if isinstance(value, Tensor) and name not in left_out
    }
    model.save_pretrained(out, state_dict=state)
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    for pattern in (*_TOKENIZER_FILES, "generation_config.json"):
        for path in source.glob(pattern):
            shutil.copyfile(path, out / path.name)


class SavedTensors:
    """The tensors in a folder's safetensors files; each is read when it is asked for."""

    def __init__(self, folder: Path):
        self._files = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                self._files |= dict.fromkeys(file.keys(), path)

    def get(self, name: str) -> Tensor | None:
        """The tensor of this name, if a file has it."""
        if name not in self._files:
            return None
        with safe_open(self._files[name], "pt") as file:
            return file.get_tensor(name)


def _differing_tensors(model: nn.Module, saved: SavedTensors | None, events: Events) -> list[str]:
    """Names of the weights that the files lack or have with another value, beyond rounding to the saved type.

    All processes call this, since sharded weights are gathered one by one; only the one with `saved` compares.
    """
    wrong = []
    weights = list(model.named_parameters())
    for done, (name, weight) in enumerate(weights, start=1):
        with _whole(weight):
            if saved is not None:
                found = saved.get(name)
                if found is None or not torch.equal(found, weight.detach().to("cpu", found.dtype)):
                    wrong.append(name)
                events.progress(done, len(weights), "tensors compared")
    return wrong


def _whole(weight: nn.Parameter) -> AbstractContextManager[object]:
    """Gathers a weight that DeepSpeed's stage 3 has sharded."""
    if not hasattr(weight, "ds_id"):
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters([weight])
