"""Model artifacts that are an adapter: low-rank matrices beside the model that they change.

    adapter_config.json, adapter_model.safetensors    PEFT's layout
    config.json, tokenizer files                       those of the base
    base/                                              the base itself, or the pointer to its commit on the Hub

The folder is complete, so its digest covers the base too. PEFT's `base_model_name_or_path` names the base for people
and other tools. What is loaded here is `base/`; only an adapter of others on the Hub may lack that folder and name a
repository and its commit instead.
"""

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from astro_factory.core.config import Config
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.models import ADAPTER_CONFIG, BASE, POINTER, model_source
from astro_factory.core.weight_files import read_head

ADAPTER_WEIGHTS = "adapter_model.safetensors"
OTHER_FORM = "use a LoRA adapter that astro-factory saved, or merge it into its base with `merge_and_unload` of peft"
"""What to do with an adapter that cannot be loaded."""
VLLM_HIGHEST_RANK = 512
_REPOSITORY, _COMMIT = re.compile(r"[\w.-]+/[\w.-]+"), re.compile(r"[0-9a-f]{40}")
_MAX_CONFIG = 1 << 20
"""Largest adapter_config.json in bytes."""
TENSOR_PREFIX, A_SUFFIX, B_SUFFIX = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
"""Parts of the names of an adapter's tensors: `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`."""
_OTHER_FORMS = (
    "alora_invocation_tokens",
    "alpha_pattern",
    "arrow_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "monteclora_config",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "use_rslora",
)
"""Fields of PEFT's config that change what an adapter computes, and are not supported."""
_OTHER_BASES = ("corda", "loftq", "lora_ga", "olora", "pissa")
"""What `init_lora_weights` begins with if PEFT subtracts the first adapter from the base: the trained one belongs to
that base, and not to the one that the config names."""


class NoBase(ValueError):
    """An adapter without its base."""


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
        first = fields.get("init_lora_weights") if isinstance(fields, dict) else None
        if isinstance(first, str) and first.lower().startswith(_OTHER_BASES):
            raise ValueError(f"init_lora_weights '{first}' has changed the base, and is not supported")
        return fields

    @property
    def scale(self) -> float:
        """Factor of the product of the two matrices."""
        return self.lora_alpha / self.r

    @property
    def base_on_hub(self) -> str | None:
        """The pointer to the base, as `base/hub.json` has it; None if the config names no commit of a repository."""
        repo, revision = self.base_model_name_or_path or "", self.revision or ""
        if not (_REPOSITORY.fullmatch(repo) and _COMMIT.fullmatch(revision)):
            return None
        return json.dumps({"repo": repo, "revision": revision}, indent=1) + "\n"

    def text(self) -> str:
        """The content of `adapter_config.json`; equal configs give equal bytes."""
        fields: dict[str, Any] = self.model_dump() | {"lora_dropout": 0.0, "inference_mode": True}
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"


def read_adapter(source: Path) -> AdapterConfig | None:
    """The adapter in a model folder; None for a whole model.

    Raises:
        UserError: E432 if it is an adapter of a form that cannot be loaded.
    """
    if not (source / ADAPTER_CONFIG).is_file():
        return None
    try:
        return parse_adapter(source)
    except ValueError as error:
        raise UserError.of("E432", f"the model in '{source}' cannot be used: {error}", OTHER_FORM) from None


def parse_adapter(source: Path) -> AdapterConfig:
    """The adapter in a folder that has one. Raises `ValueError` with the cause if it cannot be loaded."""
    file = source / ADAPTER_CONFIG
    if file.stat().st_size > _MAX_CONFIG:
        raise ValueError(f"its {ADAPTER_CONFIG} is larger than {_MAX_CONFIG} bytes")
    try:
        config = AdapterConfig.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        parts = [ADAPTER_CONFIG, ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")]
        raise ValueError(f"its {': '.join(filter(None, parts))}") from None
    for name in (ADAPTER_WEIGHTS, "config.json"):
        if not (source / name).is_file():
            raise ValueError(f"it is an adapter, and {name} is missing")
    if fault := _tensor_fault(source / ADAPTER_WEIGHTS, config):
        raise ValueError(f"its {ADAPTER_WEIGHTS}: {fault}")
    if (source / BASE / ADAPTER_CONFIG).is_file():
        raise ValueError(f"it is an adapter of an adapter: the model in {BASE}/ is one too")
    if not (source / BASE).is_dir() and not config.base_on_hub:
        named = f"names '{config.base_model_name_or_path}' without a commit of the Hub"
        raise NoBase(f"it is an adapter, the folder {BASE}/ is missing, and its {ADAPTER_CONFIG} {named}")
    return config


def _tensor_fault(file: Path, config: AdapterConfig) -> str:
    """Why an adapter's tensors are not two matrices of its rank for each module; empty if they are.

    A tensor that nothing reads would mean that another model is loaded than the one that was trained.
    """
    tensors, _ = read_head(file)
    for name, tensor in sorted(tensors.items()):
        module = name.removesuffix(A_SUFFIX).removesuffix(B_SUFFIX)
        if module == name or not name.startswith(TENSOR_PREFIX):
            return f"the tensor '{name}' is not part of a LoRA adapter of linear layers"
        if not any(module.endswith(f".{wanted}") for wanted in config.target_modules):
            return f"the tensor '{name}' belongs to no module of target_modules"
        if not {module + A_SUFFIX, module + B_SUFFIX} <= tensors.keys():
            return f"the tensor '{name}' lacks its counterpart"
        if len(tensor["shape"]) != 2 or tensor["shape"][0 if name.endswith(A_SUFFIX) else 1] != config.r:
            return f"the tensor '{name}' has the shape {tensor['shape']}, which is not of rank {config.r}"
    return "" if tensors else "it has no tensors"


def base_source(source: Path) -> Path:
    """The local folder of an adapter's base, downloaded once if it is on the Hub."""
    base = source / BASE
    if base.is_dir():
        return model_source(base)
    adapter = read_adapter(source)
    assert adapter and adapter.base_on_hub
    with TemporaryDirectory() as folder:
        (Path(folder) / POINTER).write_text(adapter.base_on_hub, encoding="utf-8")
        return model_source(Path(folder))


def module_fault(wanted: Iterable[str], there: Collection[str]) -> Diagnostic | None:
    """E530 if a model has only some of the linear layers that an adapter names, or none at all."""
    if not there:
        cause = "the model has no linear layers that an adapter could change"
        return Diagnostic("E530", cause, "leave the adapter out: the stage then trains all weights")
    missing = [name for name in wanted if name not in there]
    if not missing:
        return None
    cause = f"the model has no linear layers called {_listed(missing)}, which adapter.target_modules names"
    return Diagnostic("E530", cause, f"it has {_listed(sorted(there))}")


def rank_fault(rank: int, sides: Iterable[int]) -> Diagnostic | None:
    """E534 if an adapter's rank is larger than that of every matrix it changes.

    Args:
        sides: the shorter side of each of these matrices.
    """
    highest = max(sides, default=rank)
    if rank <= highest:
        return None
    cause = f"the adapter has rank {rank:,}, and no matrix that it changes has a rank above {highest:,}"
    return Diagnostic("E534", cause, "lower adapter.rank, or leave the adapter out to train all weights")


def vllm_rank_fault(rank: int, name: str) -> Diagnostic | None:
    """E534 if vLLM cannot load an adapter of this rank."""
    if rank <= VLLM_HIGHEST_RANK:
        return None
    cause = f"vLLM loads adapters up to rank {VLLM_HIGHEST_RANK}, and that of '{name}' has rank {rank:,}"
    return Diagnostic("E534", cause, "let the stage that makes it write `save: merged`, or lower its adapter.rank")


def base_name(folder: Path) -> tuple[str, str | None]:
    """What PEFT's config calls a base artifact: its repository and commit on the Hub, or the folder beside it."""
    pointer = folder / POINTER
    if not pointer.is_file():
        return BASE, None
    target = json.loads(pointer.read_text(encoding="utf-8"))
    return target["repo"], target["revision"]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
