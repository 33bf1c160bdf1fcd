"""Where the weights of a model artifact are: the folder itself, or the pinned Hub revision that it points to.

A stranger's model folder is data. Nothing in it may run: no code of its own, no pickles, no kernels from the Hub.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from astro_factory.core.errors import UserError

POINTER = "hub.json"
ADAPTER_CONFIG = "adapter_config.json"
BASE = "base"
"""Folder of an adapter's base beside it."""
MODEL_FILES = ("*.json", "*.safetensors", "tokenizer.model", "*.jinja", "merges.txt", "vocab.txt")
"""Files that loading needs. Weights in other formats, training state and documentation are left out."""
_NOT_NEEDED = ("*/*", "consolidated*", "*.fp16.safetensors", "*.bf16.safetensors")
"""Files of a Hub repository that hold the weights a second time: subfolders (`original/`, `onnx/`), Mistral's own
format, other precisions."""
_MAX_CONFIG = 1 << 24
"""Largest config.json in bytes."""


def model_source(folder: Path) -> Path:
    """The local folder with config, weights and tokenizer of a model artifact.

    A folder with `hub.json`, `{"repo": ..., "revision": <commit>}`, is a pointer: its files come from the Hub's cache,
    downloaded once.

    Raises:
        UserError: E432 if the folder names code to run (see `unsafe_settings`).
    """
    pointer = folder / POINTER
    source = folder
    if pointer.is_file():
        from huggingface_hub import snapshot_download

        target = json.loads(pointer.read_text())
        repo, revision = target["repo"], target["revision"]
        files = {"allow_patterns": list(MODEL_FILES), "ignore_patterns": list(_NOT_NEEDED)}
        source = Path(snapshot_download(repo, revision=revision, **files))
        if (source / ADAPTER_CONFIG).is_file():
            snapshot_download(repo, revision=revision, allow_patterns=[f"{BASE}/{name}" for name in MODEL_FILES])
    for cause, remedy in unsafe_settings(source):
        raise UserError.of("E432", f"the model in '{source}' cannot be used: {cause}", remedy)
    return source


def check_weights(source: Path) -> None:
    """Raises `UserError` E432 for a folder without weights as safetensors; the older format, pickles, can run code."""
    if not any(source.glob("*.safetensors")):
        remedy = "save the model with `model.save_pretrained(folder)`, which writes safetensors"
        raise UserError.of("E432", f"the model in '{source}' cannot be used: it has no weights as safetensors", remedy)


def unsafe_settings(source: Path) -> list[tuple[str, str]]:
    """What in a folder's config.json makes transformers fetch and run code, as (cause, remedy)."""
    file = source / "config.json"
    if not file.is_file():
        return []
    try:
        if file.stat().st_size > _MAX_CONFIG:
            return [(f"config.json is larger than {_MAX_CONFIG} bytes", "save the model again")]
        config = json.loads(file.read_text(encoding="utf-8"))
        names = sorted(set(_kernels(config)))
    except (ValueError, RecursionError):
        return [("config.json is not valid JSON", "save the model again")]
    return [(f"config.json asks for the kernel in '{name}', which runs code", f"remove '{name}'") for name in names]


def _kernels(value: object, name: str = "") -> Iterator[str]:
    """Names of settings that name a kernel: `org/repo` as implementation of attention or experts, or `use_kernels`."""
    if isinstance(value, dict):
        for key, item in value.items():
            if item and key in ("kernel_config", "use_kernels"):
                yield key
            implementation = name or (key if str(key).endswith("_implementation") else "")
            yield from _kernels(item, implementation)
    elif isinstance(value, list):
        for item in value:
            yield from _kernels(item, name)
    elif isinstance(value, str) and name and "/" in value:
        yield name
