"""A Llama in a GGUF file: its configuration for transformers, and its weights.

llama.cpp's converter (convert_hf_to_gguf.py) renames tensors, reorders the rows of the query and key projections for
its form of the rotary embedding, and leaves the output layer out where it is the embedding matrix. Llama 3's scaling of
the rotary embedding is in a tensor, `rope_freqs.weight`. All of it is undone here.
"""

from collections.abc import Iterator
from math import inf, pi
from typing import TYPE_CHECKING, Any, NamedTuple

from astro_factory.stages.models.gguf_file import QUANTIZATIONS, GgufFile, TensorEntry

if TYPE_CHECKING:
    import numpy as np

ARCHITECTURE = "llama"
_EMBEDDING, _OUTPUT, _FREQUENCIES = "token_embd.weight", "output.weight", "rope_freqs.weight"
_EPSILON = "attention.layer_norm_rms_epsilon"
_NEEDED = (
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    _EPSILON,
)
_OPTIONAL = ("attention.head_count_kv", "attention.key_length", "rope.dimension_count", "rope.freq_base")
_FRACTIONS = (_EPSILON, "rope.freq_base")
"""All these values are numbers above 0, and whole but for these."""
_TOKENS = ("bos", "eos", "padding")
_LOW, _HIGH, _ORIGINAL = 1.0, 4.0, 8192
"""Llama 3's `low_freq_factor`, `high_freq_factor` and `original_max_position_embeddings`, equal in all its models."""


class Unsupported(ValueError):
    """Why a file cannot become a Llama of transformers."""


class Tensor(NamedTuple):
    """A tensor of transformers' Llama and where it comes from."""

    source: str
    """Its name in the file."""
    shape: tuple[int, ...]
    heads: int = 0
    """Number of heads whose rows llama.cpp reordered; 0 for none."""


def llama_config(file: GgufFile) -> dict[str, Any]:
    """Arguments of `transformers.LlamaConfig`.

    Raises:
        Unsupported: the file holds another model, or one that transformers' Llama cannot express.
    """
    found = file.metadata.get("general.architecture")
    if found != ARCHITECTURE:
        raise Unsupported(f"its architecture is '{found}', not '{ARCHITECTURE}'")
    values = {
        name.removeprefix(f"{ARCHITECTURE}."): value
        for name, value in file.metadata.items()
        if name.startswith(f"{ARCHITECTURE}.")
    }
    _check_numbers(values)
    if values.get("expert_count"):
        raise Unsupported(f"it is a mixture of {values['expert_count']} experts")
    if (scaling := values.get("rope.scaling.type", "none")) != "none":
        raise Unsupported(f"its rotary embedding is scaled by '{scaling}'")
    hidden, heads = values["embedding_length"], values["attention.head_count"]
    kv_heads, head_dim = (
        values.get("attention.head_count_kv", heads),
        values.get("attention.key_length", hidden // heads),
    )
    if heads % kv_heads or head_dim % 2 or not head_dim:
        raise Unsupported(f"it has {heads} heads of {head_dim} dimensions for {kv_heads} of keys")
    if values.get("rope.dimension_count", head_dim) != head_dim:
        raise Unsupported(f"its rotary embedding turns {values['rope.dimension_count']} of {head_dim} dimensions")
    if _EMBEDDING not in file.tensors:
        raise Unsupported(f"it has no tensor '{_EMBEDDING}'")
    rows = file.tensors[_EMBEDDING].shape[0]
    ids = _token_ids(file, rows)
    return {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": rows,
        "hidden_size": hidden,
        "intermediate_size": values["feed_forward_length"],
        "num_hidden_layers": values["block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "max_position_embeddings": values["context_length"],
        "rms_norm_eps": _short(values[_EPSILON]),
        "rope_parameters": {"rope_type": "default", "rope_theta": _short(values.get("rope.freq_base", 1e4))},
        "tie_word_embeddings": _OUTPUT not in file.tensors,
        "bos_token_id": ids["bos"],
        "eos_token_id": ids["eos"],
        "pad_token_id": ids["padding"],
    }


def llama_tensors(file: GgufFile, config: dict[str, Any]) -> dict[str, Tensor]:
    """The names of transformers' weights to their tensors in the file.

    Raises:
        Unsupported: the file's tensors are not exactly those of a Llama of this shape, or have an unknown quantization.
    """
    wanted: dict[str, Tensor] = {}
    for name, tensor in _expected(config):  # the header may claim any number of layers
        if tensor.source not in file.tensors:
            raise Unsupported(f"it has no tensor '{tensor.source}'")
        wanted[name] = tensor
    sources = {tensor.source for tensor in wanted.values()} | {_FREQUENCIES}
    if others := [name for name in file.tensors if name not in sources]:
        raise Unsupported(f"its tensor '{others[0]}' is not one of a Llama")
    for tensor in wanted.values():
        if (shape := file.tensors[tensor.source].shape) != tensor.shape:
            raise Unsupported(f"its tensor '{tensor.source}' has the shape {list(shape)}, not {list(tensor.shape)}")
    return wanted


def unreadable_quantization(file: GgufFile) -> str:
    """What the first tensor is whose quantization cannot be read; empty if all can."""
    for name, entry in file.tensors.items():
        _, block, _ = QUANTIZATIONS.get(entry.quantization, ("", 0, 0))
        if not block:
            return f"its tensor '{name}' has the quantization type {entry.quantization}"
        if entry.shape[-1] % block:
            return f"the rows of its tensor '{name}' are no whole blocks"
    return ""


def _check_numbers(values: dict[str, Any]) -> None:
    """Raises `Unsupported` where a value of the shape is missing, or cannot be one of a Llama."""
    for name in (*_NEEDED, *_OPTIONAL):
        if name not in values and name in _OPTIONAL:
            continue
        value, place = values.get(name), f"'{ARCHITECTURE}.{name}'"
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Unsupported(f"its metadata has no number {place}")
        if not 0 < value < inf or (isinstance(value, float) and name not in _FRACTIONS):
            raise Unsupported(f"its metadata has {value:g} as {place}")


def _token_ids(file: GgufFile, rows: int) -> dict[str, int | None]:
    """The special tokens; None for one that the file does not name. Raises `Unsupported` for one without a row."""
    tokens = file.metadata.get("tokenizer.ggml.tokens", [])
    if isinstance(tokens, list) and len(tokens) > rows:
        raise Unsupported(f"it has {len(tokens):,} tokens, but its tensor '{_EMBEDDING}' has {rows:,} rows")
    ids = {name: file.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in _TOKENS}
    for name, found in ids.items():
        if found is not None and not (type(found) is int and 0 <= found < rows):
            raise Unsupported(f"its 'tokenizer.ggml.{name}_token_id' is not the number of a token")
    return ids


def _expected(config: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    queries, keys = heads * config["head_dim"], kv_heads * config["head_dim"]
    yield "model.embed_tokens.weight", Tensor(_EMBEDDING, (config["vocab_size"], hidden))
    for index in range(config["num_hidden_layers"]):
        ours, theirs = f"model.layers.{index}", f"blk.{index}"
        yield f"{ours}.input_layernorm.weight", Tensor(f"{theirs}.attn_norm.weight", (hidden,))
        yield f"{ours}.self_attn.q_proj.weight", Tensor(f"{theirs}.attn_q.weight", (queries, hidden), heads)
        yield f"{ours}.self_attn.k_proj.weight", Tensor(f"{theirs}.attn_k.weight", (keys, hidden), kv_heads)
        yield f"{ours}.self_attn.v_proj.weight", Tensor(f"{theirs}.attn_v.weight", (keys, hidden))
        yield f"{ours}.self_attn.o_proj.weight", Tensor(f"{theirs}.attn_output.weight", (hidden, queries))
        yield f"{ours}.post_attention_layernorm.weight", Tensor(f"{theirs}.ffn_norm.weight", (hidden,))
        yield f"{ours}.mlp.gate_proj.weight", Tensor(f"{theirs}.ffn_gate.weight", (inner, hidden))
        yield f"{ours}.mlp.up_proj.weight", Tensor(f"{theirs}.ffn_up.weight", (inner, hidden))
        yield f"{ours}.mlp.down_proj.weight", Tensor(f"{theirs}.ffn_down.weight", (hidden, inner))
    yield "model.norm.weight", Tensor("output_norm.weight", (hidden,))
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", Tensor(_OUTPUT, (config["vocab_size"], hidden))


def read_tensor(file: GgufFile, tensor: Tensor) -> "np.ndarray":
    """A tensor's weights in single precision, its rows in transformers' order."""
    weights = _read(file, file.tensors[tensor.source]).reshape(tensor.shape)
    if not tensor.heads:
        return weights
    # llama.cpp has the two halves of each head's rotated rows interleaved
    half = tensor.shape[0] // tensor.heads // 2
    return weights.reshape(tensor.heads, half, 2, -1).swapaxes(1, 2).reshape(tensor.shape)


def rope_parameters(file: GgufFile, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration's `rope_parameters`, with Llama 3's scaling if the file has its frequencies.

    Raises:
        Unsupported: the frequencies are not those of Llama 3's formula.
    """
    base = config["rope_parameters"]
    if _FREQUENCIES not in file.tensors:
        return base
    factors = _read(file, file.tensors[_FREQUENCIES]).ravel().tolist()
    largest, half = max(factors, default=0.0), config["head_dim"] // 2
    formula = []
    if len(factors) == half and 0 < largest < inf:
        formula = [_llama3_factor(base["rope_theta"] ** (-index / half), largest) for index in range(half)]
    close = (abs(one - other) <= 1e-3 * other for one, other in zip(factors, formula, strict=False))
    if not formula or not all(close):
        raise Unsupported(f"its '{_FREQUENCIES}' are not those of Llama 3's scaling")
    scaling = {"factor": _short(largest), "low_freq_factor": _LOW, "high_freq_factor": _HIGH}
    return base | scaling | {"rope_type": "llama3", "original_max_position_embeddings": _ORIGINAL}


def _llama3_factor(frequency: float, factor: float) -> float:
    """What a frequency is divided by: 1 for short wavelengths, `factor` for long ones, between them a smooth change."""
    turns = _ORIGINAL * frequency / (2 * pi)
    smooth = min(max((turns - _LOW) / (_HIGH - _LOW), 0.0), 1.0)
    return 1 / ((1 - smooth) / factor + smooth)


def _read(file: GgufFile, entry: TensorEntry) -> "np.ndarray":
    import numpy as np
    from gguf import GGMLQuantizationType, dequantize

    kind = GGMLQuantizationType(entry.quantization)
    data = np.memmap(file.path, np.uint8, "r", entry.offset, (entry.size,))
    stored = {"F32": np.float32, "F16": np.float16}.get(kind.name, np.uint8)
    rows = data.view(stored).reshape(*entry.shape[:-1], -1)
    return np.array(dequantize(rows, kind), np.float32)  # a copy: the file may be closed


def _short(number: float) -> float:
    """The shortest decimal that a single-precision number stands for: 1e-05 for 9.999999747378752e-06."""
    return float(f"{number:.7g}")
