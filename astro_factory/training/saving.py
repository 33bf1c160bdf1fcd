"""Saving a trained model: equal weights give equal bytes; the written tensors are compared with the trained ones."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, Trainer
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from astro_factory.core.adapters import ADAPTER_WEIGHTS, base_name, base_source, read_adapter
from astro_factory.core.context import Events
from astro_factory.core.model_shapes import weight_type
from astro_factory.core.models import ADAPTER_CONFIG, BASE, MODEL_FILES, POINTER, model_source
from astro_factory.training.adapters import adapter_of, adapter_weights, config_of
from astro_factory.training.loading import load_causal_model, merge
from astro_factory.training.settings import TrainingConfig

if TYPE_CHECKING:
    from peft import PeftModel

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


def save_model(trainer: Trainer, settings: TrainingConfig, folder: Path, out: Path, events: Events) -> None:
    """Write the trained model to `out`, with the data type and the tokenizer of the original in `folder`.

    A model with an adapter is written as `settings.save` says.

    All processes call this; the first one writes. Then the files are compared with the trained weights, one tensor at a
    time, which reports progress. A difference is a warning: the run is kept, and so are its checkpoints.
    """
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)  # pyright: ignore[reportArgumentType]
    assert isinstance(model, nn.Module)
    gathered = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    first = trainer.is_world_process_zero()
    weights: Iterable[tuple[str, Tensor]] = model.named_parameters()
    if first:
        assert isinstance(gathered, dict)
        if (wrapped := adapter_of(model)) is not None:
            weights = _write_adapter(adapter_weights(wrapped, gathered), wrapped, settings, folder, out)
        else:
            assert isinstance(model, PreTrainedModel)
            _write(model, gathered, model_source(folder), out)
    elif settings.adapter:
        weights = []
    trainer.accelerator.wait_for_everyone()
    wrong = _differing_tensors(list(weights), SavedTensors(out) if first else None, events)
    if wrong:
        names = ", ".join(wrong[:_NAMED]) + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else "")
        events.log(f"WARNING: the saved model differs from the trained one in {len(wrong)} tensors: {names}")


def _write(model: PreTrainedModel, gathered: Mapping[str, object], source: Path, out: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    dtype = getattr(torch, weight_type(config) or "float32")
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
    _copy_files(source, (*_TOKENIZER_FILES, "generation_config.json"), out)


def _copy_files(source: Path, patterns: Iterable[str], out: Path) -> None:
    out.mkdir(exist_ok=True)
    for path in sorted({path for pattern in patterns for path in source.glob(pattern)}):
        shutil.copyfile(path, out / path.name)


def _write_adapter(
    tensors: dict[str, Tensor], model: "PeftModel", settings: TrainingConfig, folder: Path, out: Path
) -> Iterable[tuple[str, Tensor]]:
    """Write an adapter beside its base, or merged into it; returns the weights that the files should have."""
    source = model_source(folder)
    earlier, config = read_adapter(source), config_of(model)
    if settings.save == "merged":
        unset_hf_deepspeed_config()  # else ZeRO-3 would shard this model too
        merged = load_causal_model(base_source(source) if earlier else source, torch.float32)
        merge(merged, tensors, config, out)
        _write(merged, merged.state_dict(), source, out)
        return merged.named_parameters()
    base = source / BASE if earlier else folder
    if base.is_dir():
        _copy_files(base, (*MODEL_FILES, "*.txt"), out / BASE)
    elif earlier and (pointer := earlier.base_on_hub):
        (out / BASE).mkdir()
        (out / BASE / POINTER).write_text(pointer, encoding="utf-8")
    name, revision = base_name(out / BASE)
    config = config.model_copy(update={"base_model_name_or_path": name, "revision": revision})
    (out / ADAPTER_CONFIG).write_text(config.text(), encoding="utf-8")
    save_file(tensors, out / ADAPTER_WEIGHTS, {"format": "pt"})
    _copy_files(source, (*_TOKENIZER_FILES, "config.json", "generation_config.json"), out)
    return tensors.items()


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


def _differing_tensors(weights: Sequence[tuple[str, Tensor]], saved: SavedTensors | None, events: Events) -> list[str]:
    """Names of the weights that the files lack or have with another value, beyond rounding to the saved type.

    All processes call this, since sharded weights are gathered one by one; only the one with `saved` compares.
    """
    wrong = []
    for done, (name, weight) in enumerate(weights, start=1):
        with _whole(weight) as whole:
            if saved is not None:
                found = saved.get(name)
                if found is None or not torch.equal(found, whole.detach().to("cpu", found.dtype)):
                    wrong.append(name)
                events.progress(done, len(weights), "tensors compared")
    return wrong


@contextmanager
def _whole(weight: Tensor) -> Iterator[Tensor]:
    """A weight that FSDP or DeepSpeed's stage 3 may have sharded, gathered in all processes."""
    if isinstance(weight, DTensor):
        yield weight.full_tensor()
    elif not hasattr(weight, "ds_id"):
        yield weight
    else:
        import deepspeed

        with deepspeed.zero.GatheredParameters([weight]):
            yield weight
