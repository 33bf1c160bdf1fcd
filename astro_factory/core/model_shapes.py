"""The shape of a model: what its size, memory and work follow from. It is read from `config.json`, without weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_DENSE = {"llama", "mistral", "qwen2", "qwen3"}
"""Architectures with attention and a gated MLP per layer, which `ModelShape` describes."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A decoder with grouped-query attention and a gated MLP, such as Llama 3."""

    hidden: int
    intermediate: int
    """Width of the MLP."""
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    """Longest sequence, in tokens."""
    tied: bool
    """Whether the output layer is the embedding matrix."""
    weight_bytes: int
    """Bytes of a weight in the checkpoint."""

    @property
    def queries(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads together; the values have the same."""
        return self.kv_heads * self.head_dim

    @property
    def layer_weights(self) -> int:
        """Weights of the matrices of one layer."""
        return self.hidden * (2 * self.queries + 2 * self.keys + 3 * self.intermediate)

    @property
    def linear_layers(self) -> dict[str, tuple[int, int]]:
        """Names of the linear layers in each layer, with the widths of their inputs and outputs."""
        inputs = {"q_proj": self.queries, "k_proj": self.keys, "v_proj": self.keys}
        inputs |= {"gate_proj": self.intermediate, "up_proj": self.intermediate}
        outputs = {"o_proj": self.queries, "down_proj": self.intermediate}
        return {name: (self.hidden, width) for name, width in inputs.items()} | {
            name: (width, self.hidden) for name, width in outputs.items()
        }

    @property
    def embedding_weights(self) -> int:
        """Weights of the embedding matrix, which the output layer has too."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All weights. Biases, which a few architectures have, are left out: they are far below a percent."""
        norms = (2 * self.layers + 1) * self.hidden
        return self.layers * self.layer_weights + (2 - self.tied) * self.embedding_weights + norms

    @property
    def kv_bytes(self) -> int:
        """Bytes of the keys and values of one token, in two bytes each."""
        return 2 * self.layers * self.keys * 2


def weight_type(config: Mapping[str, Any]) -> str | None:
    """Data type of the weights as a `config.json` names it; older releases of transformers write `torch_dtype`."""
    return config.get("dtype") or config.get("torch_dtype")


def read_shape(config: Mapping[str, Any]) -> ModelShape | None:
    """The shape that a `config.json` describes; None for architectures that `ModelShape` does not fit."""
    if config.get("model_type") not in _DENSE or config.get("num_experts"):
        return None
    try:
        heads = int(config["num_attention_heads"])
        return ModelShape(
            hidden=int(config["hidden_size"]),
            intermediate=int(config["intermediate_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
            vocabulary=int(config["vocab_size"]),
            context=int(config.get("max_position_embeddings") or 2048),
            tied=bool(config.get("tie_word_embeddings", False)),
            weight_bytes=4 if weight_type(config) == "float32" else 2,
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_shape_file(path: Path) -> ModelShape | None:
    """`read_shape` of a file; None if it cannot be read."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return read_shape(config) if isinstance(config, dict) else None


def known_shape(repo: str) -> ModelShape | None:
    """The shape of a repository that ships with this package, for planning without a network."""
    known = _known()
    name = known["repositories"].get(repo)
    return read_shape(known["shapes"][name]) if name else None


@cache
def _known() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "model_shapes.json").read_text(encoding="utf-8"))
