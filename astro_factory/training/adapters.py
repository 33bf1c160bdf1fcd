"""LoRA adapters: wrapping a model with PEFT, its weights for an engine, and the model that is saved.

The base is frozen, so it needs no copy in single precision: its weights have the type of `precision`, or 4 bits. The
adapter's own weights are in single precision. What is saved does not depend on that: the adapter is merged into the
weights as the checkpoint has them.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from astro_factory.core.adapters import ADAPTER_WEIGHTS, AdapterConfig, module_fault, rank_fault, read_adapter
from astro_factory.core.devices import torch_device
from astro_factory.core.errors import UserError
from astro_factory.training.settings import LoraAdapter, TrainingConfig

if TYPE_CHECKING:
    from peft import PeftModel

Trained: TypeAlias = "PreTrainedModel | PeftModel"
"""A model as it is trained: alone or with an adapter."""

NAME = "default"
"""PEFT's name of the adapter in training."""


def require_libraries(settings: TrainingConfig) -> None:
    """Check before anything is loaded that this process can train with the adapter and the optimizer of `settings`.

    Raises:
        UserError: E532 if they need a GPU and there is none, E533 if a library is not installed.
    """
    eight_bits = settings.optimizer == "adamw_8bit"
    if settings.adapter and not find_spec("peft"):
        raise UserError.of("E533", "adapter needs peft, which is not installed", "pip install 'astro-factory[train]'")
    if not (settings.quantize or eight_bits):
        return
    field = f"quantize: {settings.quantize}" if settings.quantize else f"optimizer: {settings.optimizer}"
    if torch_device() != "cuda":
        other = "leave out quantize: the base then has the type of `precision`" if settings.quantize else "use adamw"
        raise UserError.of("E532", f"{field} needs a GPU, and this process has none", other)
    if not find_spec("bitsandbytes"):
        cause = f"{field} needs bitsandbytes, which is not installed"
        raise UserError.of("E533", cause, "pip install 'astro-factory[quantize]'")


def add_adapter(model: PreTrainedModel, settings: TrainingConfig, source: Path) -> "PeftModel":
    """Freeze a model and add the adapter of `settings`; its random matrices come from the seed.

    Args:
        source: folder of the model artifact; if it is an adapter, its weights are the start.

    Raises:
        UserError: E530 if the model lacks a module, E534 if the rank is too large, E531 if an adapter to continue has
            other settings.
    """
    from peft import LoraConfig, get_peft_model
    from peft.utils.save_and_load import set_peft_model_state_dict

    assert settings.adapter is not None
    config = adapter_config(settings.adapter, model)
    earlier = read_adapter(source)
    if earlier and (earlier.r, earlier.lora_alpha, sorted(earlier.target_modules)) != (
        config.r,
        config.lora_alpha,
        config.target_modules,
    ):
        raise _other_settings(settings.model, earlier)
    torch.manual_seed(settings.seed)
    lora = LoraConfig(
        r=config.r,
        lora_alpha=config.lora_alpha,  # pyright: ignore[reportArgumentType]  # PEFT divides it; it need not be whole
        target_modules=list(config.target_modules),
        task_type=config.task_type,
    )
    wrapped = get_peft_model(model, lora)
    if earlier:
        set_peft_model_state_dict(wrapped, load_file(source / ADAPTER_WEIGHTS))
    return wrapped  # pyright: ignore[reportReturnType]


def keep_single_precision(model: nn.Module) -> None:
    """Undo what TRL does to an adapter on 4-bit weights: in bf16, AdamW's small updates would be lost."""
    for weight in model.parameters():
        if weight.requires_grad and adapter_of(model) is not None:
            weight.data = weight.data.float()


def adapter_config(adapter: LoraAdapter, model: PreTrainedModel) -> AdapterConfig:
    """The adapter's config with the names of the modules. Raises `UserError` E530 if the model lacks one, E534."""
    there = linear_layers(model)
    wanted = sorted(there if adapter.target_modules == "all-linear" else adapter.target_modules)
    fault = module_fault(wanted, there) or rank_fault(adapter.rank, (there[name] for name in wanted))
    if fault:
        raise UserError(fault)
    return AdapterConfig(r=adapter.rank, lora_alpha=adapter.alpha, target_modules=wanted)


def config_of(model: "PeftModel") -> AdapterConfig:
    """The config of a model's adapter."""
    lora: Any = model.peft_config[NAME]
    return AdapterConfig(r=lora.r, lora_alpha=lora.lora_alpha, target_modules=sorted(lora.target_modules))


def linear_layers(model: PreTrainedModel) -> dict[str, int]:
    """Names of the linear layers below the output layer, without the path, with the shorter side of the largest."""
    output = model.get_output_embeddings()
    found: dict[str, int] = {}
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not output:
            name = path.rpartition(".")[2]
            found[name] = max(found.get(name, 0), min(module.in_features, module.out_features))
    return found


def adapter_of(model: nn.Module) -> "PeftModel | None":
    """The model itself if it is one with an adapter."""
    from accelerate.utils import is_peft_model

    return model if is_peft_model(model) else None  # pyright: ignore[reportReturnType]


def without_wrapper(model: nn.Module) -> nn.Module:
    """The model whose layers hold the adapter: it computes the policy, under the class name of the base."""
    wrapped = adapter_of(model)
    return model if wrapped is None else wrapped.get_base_model()


def merged_weights(model: "PeftModel") -> Iterator[tuple[str, Tensor]]:
    """Names and values of the base's weights with the adapter added, one at a time; the model does not change.

    PEFT's `merge_adapter` and `unmerge_adapter` would round the frozen weights in bf16 a little more in each round.
    """
    from peft.tuners.lora import LoraLayer

    base = model.get_base_model()
    deltas = {
        f"{name}.base_layer.weight": module for name, module in base.named_modules() if isinstance(module, LoraLayer)
    }
    for name, weight in base.named_parameters():
        if model.prefix in name:
            continue
        with torch.no_grad():
            value = weight.detach()
            if name in deltas:
                layer: Any = deltas[name]
                value = (value.float() + layer.get_delta_weight(NAME).float()).to(weight.dtype)
        yield name.replace(".base_layer.", "."), value


def adapter_weights(model: "PeftModel", gathered: dict[str, Any]) -> dict[str, Tensor]:
    """The adapter's tensors in single precision, with the names of PEFT's layout.

    Args:
        gathered: the state of the whole model.
    """
    from peft import get_peft_model_state_dict

    found = get_peft_model_state_dict(model, state_dict=gathered, adapter_name=NAME, save_embedding_layers=False)
    return {name: value.detach().to("cpu", torch.float32).contiguous() for name, value in sorted(found.items())}


def _other_settings(model: str, earlier: AdapterConfig) -> UserError:
    modules = ", ".join(earlier.target_modules)
    return UserError.of(
        "E531",
        f"'{model}' is an adapter with other settings, so its training cannot continue",
        f"use rank {earlier.r}, alpha {earlier.lora_alpha:g} and target_modules [{modules}], or let the stage that "
        "makes it write `save: merged`",
    )
