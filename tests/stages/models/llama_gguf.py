"""Writes a small Llama with a byte-level tokenizer, and GGUF files of it as llama.cpp's converter does."""

from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
TEXTS = [
    "There are 12 apples and 7 pears in the basket, so it's 12 + 7 = 19 pieces of fruit.",
    "He doesn't pay 30 dollars.\n\nThey'll need 3 * 24 = 72 clips, and the answer is \\boxed{72}.",
]


def make_llama(folder: Path, tied: bool = True, scaled: bool = False) -> Path:
    """A model folder: one key head for two query heads, SmolLM's way to split text, or Llama 3's if `scaled`."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from astro_factory.stages.models.gguf_tokenizer import _LLAMA3

    bpe = Tokenizer(models.BPE())
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not scaled)
    first = (
        pre_tokenizers.Split(Regex(_LLAMA3.pattern), behavior="isolated")
        if scaled
        else pre_tokenizers.Digits(individual_digits=True)
    )
    bpe.pre_tokenizer = pre_tokenizers.Sequence([first, in_bytes])
    bpe.decoder = decoders.ByteLevel()
    special = ["<|none|>", "<|start|>", "<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXTS * 3, trainer)
    roles = {"bos_token": "<|start|>", "eos_token": "<|end|>", "pad_token": "<|end|>", "unk_token": "<|none|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, model_max_length=512, **roles)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 5e5 if scaled else 1e5}
    if scaled:
        rope |= {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        rope["original_max_position_embeddings"] = 8192
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, rope_parameters=rope,
        tie_word_embeddings=tied, bos_token_id=1, eos_token_id=2, pad_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def write_gguf(path: Path, model: Path, quantization: str = "F32", drop: str = "", **changes: Any) -> Path:
    """The model of a folder as a GGUF file.

    Args:
        quantization: of the matrices; vectors stay in F32.
        drop: name of a tensor that is left out.
        changes: metadata to replace, `__` for `.`; None leaves a value out.
    """
    import gguf
    import numpy as np
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config, network = AutoConfig.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in (_metadata(config, AutoTokenizer.from_pretrained(model)) | _dotted(changes)).items():
        _add(writer, name, value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    kind = gguf.GGMLQuantizationType[quantization]
    weights = {name: value.detach().numpy() for name, value in network.named_parameters()}
    for name, values in weights.items():
        found = names.get_name(name, try_suffixes=(".weight",))
        for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            if f".{part}." in name:
                parts = values.reshape(heads, 2, len(values) // heads // 2, -1)
                values = parts.swapaxes(1, 2).reshape(values.shape)
        if found != drop:
            stored = kind if values.ndim > 1 else gguf.GGMLQuantizationType.F32
            writer.add_tensor(found, gguf.quantize(np.ascontiguousarray(values), stored), raw_dtype=stored)
    if config.rope_parameters["rope_type"] == "llama3":
        plain = config.rope_parameters["rope_theta"] ** (-torch.arange(0, config.head_dim, 2) / config.head_dim)
        writer.add_tensor("rope_freqs.weight", (plain / network.model.rotary_emb.inv_freq).float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _metadata(config: Any, tokenizer: Any) -> dict[str, Any]:
    import json

    bpe = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    special = {token["content"] for token in bpe["added_tokens"]}
    digits = bpe["pre_tokenizer"]["pretokenizers"][0]["type"] == "Digits"
    return {
        "llama.block_count": config.num_hidden_layers,
        "llama.context_length": config.max_position_embeddings,
        "llama.embedding_length": config.hidden_size,
        "llama.feed_forward_length": config.intermediate_size,
        "llama.attention.head_count": config.num_attention_heads,
        "llama.attention.head_count_kv": config.num_key_value_heads,
        "llama.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "llama.rope.freq_base": config.rope_parameters["rope_theta"],
        "llama.rope.dimension_count": config.head_dim,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm" if digits else "llama-bpe",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if token in special else 1 for token in tokens],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in bpe["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": tokenizer.bos_token_id,
        "tokenizer.ggml.eos_token_id": tokenizer.eos_token_id,
        "tokenizer.ggml.unknown_token_id": tokenizer.unk_token_id,
        "tokenizer.ggml.padding_token_id": tokenizer.pad_token_id,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": tokenizer.chat_template,
    }


def _dotted(changes: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("__", "."): value for name, value in changes.items()}


def _add(writer: Any, name: str, value: Any) -> None:
    if value is None:
        return
    writer.kv_data[0].pop(name, None)
    kinds = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    kinds.get(type(value), writer.add_array)(name, value)
