"""A Llama from a GGUF file, the format of llama.cpp: its weights are read into an ordinary model folder.

Quantized weights become what they stand for, so the model computes with the rounded weights in full precision. The
weights are read by the package `gguf` (`pip install 'astro-factory[gguf]'`).
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import FileField, FolderField, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.stages.models.gguf_file import QUANTIZATIONS, Damaged, GgufFile, read_gguf
from astro_factory.stages.models.gguf_llama import (
    Tensor,
    Unsupported,
    llama_config,
    llama_tensors,
    read_tensor,
    rope_parameters,
    unreadable_quantization,
)
from astro_factory.stages.models.gguf_tokenizer import build_tokenizer, tokenizer_fault
from astro_factory.stages.models.local import (
    TOKENIZER_FILES,
    note_prompt_date,
    tokenizer_faults,
)

OUTPUT = ArtifactType.MODEL
VERSION = 1
HEAVY = True

_SHARD_BYTES = 4 << 30
"""Largest weight file; a conversion holds one in memory."""
_AGAIN = "name a .gguf file, or download it again"
_WITH_TOKENIZER = "name a folder with the model's tokenizer and chat template in `tokenizer`"


class Config(StageConfig):
    kind: Literal["gguf"]
    path: FileField
    """The file, relative to the spec's folder: a Llama (architecture `llama`, no mixture of experts) with weights in
    F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q5_1, Q5_0, Q4_K, Q4_1, Q4_0, Q3_K or Q2_K."""
    tokenizer: FolderField | None = None
    """Folder with the tokenizer and its chat template, relative to the spec's. Default: those in the file, which must
    be byte-level BPE as in Llama 3 or SmolLM; SentencePiece tokenizers (Llama 2) need the folder."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Type of the weights in the model folder. `fp32` has exactly the file's; `bf16` takes half the space."""


def check(config: Config, files: Mapping[str, str]) -> list[Diagnostic]:
    """Everything that `run` would report, from the header. The compiler itself reports missing files."""
    if not (path := files.get(config.path)):
        return []
    faults = tokenizer_faults(Path(folder)) if (folder := files.get(config.tokenizer or "")) else []
    found = [Diagnostic("E432", f"'{config.tokenizer}' has no tokenizer: {cause}", remedy) for cause, remedy in faults]
    try:
        file = _read(Path(path), config)
        llama_tensors(file, llama_config(file))
    except UserError as error:
        return error.diagnostics + found
    except Unsupported as error:
        return [_unsupported(config, error), *found]
    except OSError:
        return found  # the plan reports a file that cannot be read
    return found


def run(ctx: StageContext, config: Config) -> None:
    from transformers import GenerationConfig, LlamaConfig

    file = _read(ctx.inputs[config.path], config)
    try:
        values = llama_config(file)
        tensors = llama_tensors(file, values)
        values["rope_parameters"] = rope_parameters(file, values)
    except Unsupported as error:
        raise UserError(_unsupported(config, error)) from None
    if config.tokenizer:
        _take_tokenizer(ctx, config, file)
    else:
        build_tokenizer(file).save_pretrained(ctx.out)
    dtype = "float32" if config.precision == "fp32" else "bfloat16"
    LlamaConfig(**values, dtype=dtype).save_pretrained(ctx.out)
    ids = {name: values[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    GenerationConfig(**ids).save_pretrained(ctx.out)
    note_prompt_date(ctx.out)
    _write_weights(ctx, file, tensors, dtype)
    kinds = sorted({QUANTIZATIONS[file.tensors[tensor.source].quantization][0] for tensor in tensors.values()})
    ctx.events.log(f"{len(tensors)} tensors in {', '.join(kinds)}, written as {dtype}")


def _read(path: Path, config: Config) -> GgufFile:
    """The header. Raises `UserError` for a file that is damaged, or whose weights or tokenizer cannot be read."""
    try:
        file = read_gguf(path)
    except Damaged as error:
        cause = f"'{config.path}' is no whole GGUF file: {error}"
        raise UserError.of("E437", cause, _AGAIN) from None
    if cause := unreadable_quantization(file):
        known = ", ".join(name for name, _, _ in QUANTIZATIONS.values())
        raise UserError.of("E439", f"'{config.path}' cannot be read: {cause}", f"take a file in one of {known}")
    if not config.tokenizer and (cause := tokenizer_fault(file)):
        raise UserError.of("E438", f"'{config.path}' has no tokenizer that can be used: {cause}", _WITH_TOKENIZER)
    return file


def _unsupported(config: Config, error: Unsupported) -> Diagnostic:
    remedy = "only Llama models can be read; take the model from the Hub with `kind: hub`"
    return Diagnostic("E438", f"'{config.path}' is not a Llama that can be read: {error}", remedy)


def _take_tokenizer(ctx: StageContext, config: Config, file: GgufFile) -> None:
    """Copy the tokenizer's files. Raises `UserError` E438 if its tokens are not the file's."""
    from transformers import AutoTokenizer

    assert config.tokenizer
    folder = ctx.inputs[config.tokenizer]
    for path in sorted({path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)}):
        shutil.copyfile(path, ctx.out / path.name)
    tokens = file.metadata.get("tokenizer.ggml.tokens", [])
    found = AutoTokenizer.from_pretrained(ctx.out, trust_remote_code=False).get_vocab()
    same = sum(found.get(token) == index for index, token in enumerate(tokens))
    if same < 0.9 * len(tokens):  # llama.cpp renames unused tokens
        cause = f"{same:,} of {len(tokens):,} tokens of '{config.path}' are in '{config.tokenizer}' at their place"
        raise UserError.of("E438", cause, "take the tokenizer of the model that the file was made from")


def _write_weights(ctx: StageContext, file: GgufFile, tensors: dict[str, Tensor], dtype: str) -> None:
    """Safetensors, in several files with an index if they are large."""
    import torch
    from safetensors.torch import save_file

    stored = getattr(torch, dtype)
    shards = list(_shards(tensors, stored.itemsize))
    names = [f"model-{index + 1:05}-of-{len(shards):05}.safetensors" for index in range(len(shards))]
    names = names if len(shards) > 1 else ["model.safetensors"]
    done, places = 0, {}
    for shard, name in zip(shards, names, strict=True):
        weights = {}
        for wanted in shard:
            found = torch.from_numpy(read_tensor(file, tensors[wanted]))
            if not found.isfinite().all():
                cause = f"its tensor '{tensors[wanted].source}' has values that are no numbers"
                raise UserError.of("E437", f"'{file.path.name}' is damaged: {cause}", _AGAIN)
            weights[wanted] = found.to(stored).contiguous()
            done += 1
            ctx.events.progress(done, len(tensors), "tensors")
        save_file(weights, ctx.out / name, {"format": "pt"})
        places |= dict.fromkeys(shard, name)
    if len(shards) > 1:
        size = sum(_bytes(tensor, stored.itemsize) for tensor in tensors.values())
        index = {"metadata": {"total_size": size}, "weight_map": places}
        (ctx.out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _shards(tensors: dict[str, Tensor], itemsize: int) -> Iterator[list[str]]:
    """The names in order, in groups that each fit a file."""
    group, size = [], 0
    for name, tensor in tensors.items():
        if group and size + _bytes(tensor, itemsize) > _SHARD_BYTES:
            yield group
            group, size = [], 0
        group.append(name)
        size += _bytes(tensor, itemsize)
    yield group


def _bytes(tensor: Tensor, itemsize: int) -> int:
    rows, *columns = tensor.shape
    return rows * (columns[0] if columns else 1) * itemsize
