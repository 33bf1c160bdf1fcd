"""The memory of an engine that generates text, from the model's shape and the settings: nothing is loaded."""

from dataclasses import dataclass

from astro_factory.core.machines import GB
from astro_factory.core.model_shapes import ModelShape

_BATCHED_TOKENS = 16384
"""Tokens of vLLM's largest forward pass on GPUs of 80 GB; smaller GPUs have half."""
_GRAPHS = 1.0 * GB
"""CUDA graphs and the library's own memory."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How an engine holds a model."""

    utilization: float
    """Share of the GPU's memory that it takes."""
    tensor_parallel: int = 1
    samples: int = 1024
    """Most samples in flight."""
    weight_bytes: int = 2
    cache_bytes: int = 2
    """Bytes of a number in the key-value cache."""


def serving_memory(shape: ModelShape, serving: Serving, gpu_gb: float) -> dict[str, float]:
    """Bytes on each GPU of a vLLM engine, by part. It takes its share whole: what is left is the key-value cache.

    The cache is negative if the rest does not fit into the share.
    """
    weights = serving.weight_bytes * shape.parameters / serving.tensor_parallel
    width = 2 * shape.intermediate / serving.tensor_parallel + 4 * shape.hidden
    tokens = _BATCHED_TOKENS if gpu_gb >= 70 else _BATCHED_TOKENS / 2
    forward = 2 * tokens * width + 4 * min(serving.samples, tokens) * shape.vocabulary / serving.tensor_parallel
    cache = serving.utilization * gpu_gb * GB - weights - forward - _GRAPHS
    return {"engine weights": weights, "engine forward pass": forward + _GRAPHS, "key-value cache": cache}


def cache_tokens(shape: ModelShape, serving: Serving, cache: float) -> int:
    """How many tokens fit into a key-value cache of so many bytes on each GPU."""
    each = shape.kv_bytes * serving.cache_bytes / 2 / min(serving.tensor_parallel, shape.kv_heads)
    return max(0, int(cache / each))


def sampling_memory(shape: ModelShape, samples: int, tokens: int, weight_bytes: int) -> dict[str, float]:
    """Bytes of the `transformers` engine, or of rollouts in the training process without its weights, by part.

    Args:
        samples: generated together.
        tokens: of the longest prompt and sample together.
        weight_bytes: bytes of a weight; 0 if the weights are there already.
    """
    cache = samples * tokens * shape.kv_bytes * max(1.0, weight_bytes / 2)
    logits = 3 * 4 * samples * shape.vocabulary
    return {"engine weights": weight_bytes * shape.parameters, "key-value cache": cache, "logits": logits}
