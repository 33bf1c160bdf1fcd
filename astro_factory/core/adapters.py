"""Model artifacts that are an adapter: low-rank matrices beside the model that they change.

    adapter_config.json, adapter_model.safetensors    PEFT's layout
    config.json, tokenizer files                       those of the base
    base/                                              the base itself, or the pointer to its commit on the Hub

The folder is complete, so its digest covers the base too. PEFT's `base_model_name_or_path` names the base for people
and other tools; what is loaded here is always `base/`.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from astro_factory.core.config import Config
from astro_factory.core.errors import UserError
from astro_factory.core.models import POINTER, model_source

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
BASE = "base"
_MAX_CONFIG = 1 << 20
"""Largest adapter_config.json in bytes."""
_OTHER_FORMS = (
    "alora_invocation_tokens",
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "use_rslora",
)
"""Fields of PEFT's config that change what an adapter computes, and are not supported."""


class AdapterConfig(Config):
    """The fields of PEFT's `adapter_config.json` that have a meaning here."""

    model_config = ConfigDict(extra="ignore")

    peft_type: Literal["LORA"] = "LORA"
    """The method."""
    task_type: Literal["CAUSAL_LM"] = "CAUSAL_LM"
    """The kind of model."""
    r: int = Field(ge=1)
    """Rank."""
    lora_alpha: float = Field(gt=0)
    """The product of the two matrices is scaled by `lora_alpha / r`."""
    target_modules: list[str] = Field(min_length=1)
    """Names of the linear layers that have an adapter, such as `q_proj`."""
    base_model_name_or_path: str | None = None
    """The base: a repository of the Hub, or `base`, the folder beside this file."""
    revision: str | None = None
    """The commit of that repository."""
    bias: Literal["none"] = "none"
    """Which biases are trained."""

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, fields: Any) -> Any:
        others = [name for name in _OTHER_FORMS if isinstance(fields, dict) and fields.get(name)]
        if others:
            raise ValueError(f"{others[0]} is not supported")
        return fields

    @property
    def scale(self) -> float:
        """Factor of the product of the two matrices."""
        return self.lora_alpha / self.r

    def text(self) -> str:
        """The content of `adapter_config.json`; equal configs give equal bytes."""
        fields: dict[str, Any] = self.model_dump() | {"lora_dropout": 0.0, "inference_mode": True}
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"


def read_adapter(source: Path) -> AdapterConfig | None:
    """The adapter in a model folder; None for a whole model.

    Raises:
        UserError: E432 if it is an adapter of a form that cannot be loaded.
    """
    file = source / ADAPTER_CONFIG
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > _MAX_CONFIG:
            raise ValueError(f"it is larger than {_MAX_CONFIG} bytes")
        config = AdapterConfig.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise _unusable(source, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise _unusable(source, str(error)) from None
    if not (source / ADAPTER_WEIGHTS).is_file() or not (source / BASE).is_dir():
        missing = ADAPTER_WEIGHTS if (source / BASE).is_dir() else f"the folder {BASE}/"
        raise _unusable(source, f"{missing} is missing")
    return config


def base_source(source: Path) -> Path:
    """The local folder of an adapter's base, downloaded once if it is on the Hub."""
    return model_source(source / BASE)


def base_name(folder: Path) -> tuple[str, str | None]:
    """What PEFT's config calls a base artifact: its repository and commit on the Hub, or the folder beside it."""
    pointer = folder / POINTER
    if not pointer.is_file():
        return BASE, None
    target = json.loads(pointer.read_text(encoding="utf-8"))
    return target["repo"], target["revision"]


def _unusable(source: Path, cause: str) -> UserError:
    remedy = "use a LoRA adapter that astro-factory saved, or merge it into its base with `merge_and_unload` of peft"
    return UserError.of("E432", f"the model in '{source}' cannot be used: its {ADAPTER_CONFIG}: {cause}", remedy)
