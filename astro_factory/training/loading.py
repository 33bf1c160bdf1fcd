"""Loading a causal language model from a folder; an adapter is merged into its base.

    model = load_causal_model(source, dtype="auto")       # also for an artifact that `save: adapter` wrote

Merging adds `scale * B @ A` to each weight in single precision, so the merged model is the one that `save: merged`
writes, whichever of the two a stage did.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from astro_factory.core.adapters import (
    A_SUFFIX,
    ADAPTER_WEIGHTS,
    B_SUFFIX,
    TENSOR_PREFIX,
    AdapterConfig,
    base_source,
    read_adapter,
)
from astro_factory.core.errors import UserError
from astro_factory.core.models import check_weights


def load_causal_model(source: Path, dtype: str | torch.dtype = "auto", **options: Any) -> PreTrainedModel:
    """The model in a folder, on the CPU.

    Args:
        source: as `core.models.model_source` returns it.
        dtype: type of the weights; `auto` is the checkpoint's own.
        options: further arguments of `from_pretrained`.

    Raises:
        UserError: E432 if the folder has no weights as safetensors, or an adapter that does not fit its base.
    """
    check_weights(source)
    adapter = read_adapter(source)
    if adapter is None:
        return _load(source, dtype, **options)
    base = base_source(source)
    if dtype == "auto":
        dtype = AutoConfig.from_pretrained(base, trust_remote_code=False).dtype or torch.float32
    model = _load(base, torch.float32, **options)
    merge(model, load_file(source / ADAPTER_WEIGHTS), adapter, source)
    nn.Module.to(model, getattr(torch, dtype) if isinstance(dtype, str) else dtype)
    return model


def merge(model: PreTrainedModel, adapter: dict[str, Tensor], config: AdapterConfig, source: Path) -> None:
    """Add an adapter, named as in PEFT's layout, to a model in single precision.

    Raises:
        UserError: E432 if the model lacks a module of the adapter or has another shape; `source` is named as its place.
    """
    with torch.no_grad():
        for name in sorted(name.removesuffix(A_SUFFIX) for name in adapter if name.endswith(A_SUFFIX)):
            try:
                weight = model.get_parameter(f"{name.removeprefix(TENSOR_PREFIX)}.weight")
                weight += config.scale * (adapter[name + B_SUFFIX].float() @ adapter[name + A_SUFFIX].float())
            except (AttributeError, KeyError, RuntimeError) as error:
                cause = f"the model in '{source}' cannot be used: its adapter does not fit its base at {name}: {error}"
                raise UserError.of("E432", cause, "use the adapter with the base that it was trained on") from error


def _load(source: Path, dtype: str | torch.dtype, **options: Any) -> PreTrainedModel:
    check_weights(source)
    return AutoModelForCausalLM.from_pretrained(
        source, dtype=dtype, trust_remote_code=False, use_safetensors=True, **options
    )
