"""What a model card says about the model: where its weights come from, how it was trained, how to ask it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astro_factory.core.adapters import ADAPTER_WEIGHTS, BASE, read_adapter
from astro_factory.core.weight_files import count_values
from astro_factory.hub.provenance import Provenance, UpstreamStage

TOY_PARAMETERS = 100_000_000
"""A model with fewer parameters is called a toy in the first line of its card."""
_SHAPE = {
    "architecture": "model_type",
    "layers": "num_hidden_layers",
    "hidden size": "hidden_size",
    "attention heads": "num_attention_heads",
    "vocabulary": "vocab_size",
    "longest context": "max_position_embeddings",
}
_SETTINGS = """
adapter quantize data problems epochs max_steps steps learning_rate schedule warmup_steps optimizer batch_size
batch_tokens prompts_per_step group_size reward loss beta temperature max_new_tokens max_length precision seed
"""
"""Settings of a training stage that the card lists; the record has all of them."""


@dataclass(frozen=True)
class Usage:
    """How to ask a model, as it was asked in training and evaluation."""

    instruction: str
    """What was appended to every question; may be empty."""
    temperature: float
    max_tokens: int
    longest: int | None
    """Longest sequence, prompt and response, that a server has to hold."""
    chat_template: bool
    gguf: bool
    """Whether llama.cpp can know the tokenizer: it knows those of published models only."""


def model_facts(folder: Path) -> list[tuple[str, str]]:
    """(name, value) pairs from `config.json` and the weights."""
    config = _config(folder)
    facts = [(words, str(config[key])) for words, key in _SHAPE.items() if key in config]
    count = parameters(folder)
    facts += [("parameters", f"{count:,}")] if count else []
    if adapter := read_adapter(folder):
        changed = count_values(folder / ADAPTER_WEIGHTS)
        facts.append(("adapter", f"LoRA of rank {adapter.r} with {changed:,} parameters; its base is unchanged"))
    return facts


def parameters(folder: Path) -> int:
    """Number of values in the safetensors files, read from their headers.

    Those of an adapter count with its base; 0 if the base is on the Hub.
    """
    files = [*folder.glob("*.safetensors")]
    if (folder / ADAPTER_WEIGHTS).is_file():
        files += (found := [*(folder / BASE).glob("*.safetensors")])
        files = files if found else []
    return sum(map(count_values, files))


def origin(lineage: Sequence[UpstreamStage], count: int) -> str:
    """The first line of a card: what the weights are, and whether the model is random or a toy."""
    trained = any(stage.section == "stages" for stage in lineage)
    size = f"{count / 1e6:,.1f} million parameters" if count else "unknown size"
    match lineage[0].kind if lineage else "":
        case "init" if not trained:
            return f"**Random weights.** This model of {size} was never trained; its output has no meaning."
        case "init":
            start = "Its training started from random weights, without any pre-training on other text."
        case "hub":
            start = f"Its training started from [{(repo := lineage[0].config['repo'])}](https://huggingface.co/{repo})."
        case _:
            start = "Its training started from a model of the publisher that is not part of this repository."
    if 0 < count < TOY_PARAMETERS:
        return f"**A toy of {size}.** {start} It shows the method and is of no use beyond its own problems."
    return f"A model of {size}. {start}" if count else start


def base_models(lineage: Sequence[UpstreamStage]) -> list[str]:
    """The Hub model that the training started from, if it was one."""
    return [stage.config["repo"] for stage in lineage[:1] if (stage.section, stage.kind) == ("models", "hub")]


def training_table(lineage: Sequence[UpstreamStage], provenance: Provenance) -> list[tuple[str, str, str]]:
    """(name, kind, settings) of every training stage, the first one first."""
    return [
        (stage.name, stage.kind, ", ".join(_settings(stage.config, provenance)))
        for stage in lineage
        if stage.section == "stages"
    ]


def _settings(config: Mapping[str, Any], provenance: Provenance) -> list[str]:
    found = []
    for name in _SETTINGS.split():
        value = config.get(name)
        if isinstance(value, Mapping):
            inside = ", ".join(f"{key} {item}" for key, item in value.items() if isinstance(item, int | float))
            value = provenance.name_of(value) or inside
        if value not in (None, "", []):
            found.append(f"{name.replace('_', ' ')} {value}")
    return found


def usage(folder: Path, lineage: Sequence[UpstreamStage], provenance: Provenance, report: str | None) -> Usage:
    """From the last stage that sampled the model: the report, else reinforcement learning."""
    config = _config(folder)
    suite = _inside(provenance.named(report) if report else None, "suite")
    last = lineage[-1].config if lineage else {}
    limits = [
        length
        for stage in provenance.stages
        for length in (stage.config.get("max_length"), _inside(stage, "engine").get("max_model_len"))
        if isinstance(length, int)
    ]
    context = config.get("max_position_embeddings")
    longest = min(max(limits), context) if limits and context else context
    return Usage(
        instruction=_instruction(provenance),
        temperature=float(suite.get("temperature", last.get("temperature", 1.0))),
        max_tokens=int(suite.get("max_tokens", last.get("max_new_tokens", 512))),
        longest=longest,
        chat_template=(folder / "chat_template.jinja").is_file(),
        gguf=bool(base_models(lineage)),
    )


def _instruction(provenance: Provenance) -> str:
    """The instruction that all problems share."""
    found = {stage.config["instruction"] for stage in provenance.stages if stage.config.get("instruction")}
    return found.pop() if len(found) == 1 else ""


def _inside(stage: UpstreamStage | None, name: str) -> Mapping[str, Any]:
    value = stage.config.get(name) if stage else None
    return value if isinstance(value, Mapping) else {}


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))
