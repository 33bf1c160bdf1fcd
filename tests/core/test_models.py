"""What is downloaded of a model repository, with the real client and a Hub in this process."""

import json
import os
import subprocess
import sys
from pathlib import Path

from astro_factory.core.adapters import A_SUFFIX, ADAPTER_WEIGHTS, B_SUFFIX, TENSOR_PREFIX, AdapterConfig
from astro_factory.core.models import ADAPTER_CONFIG
from tests.hub.server import HubServer, Repo

NEEDED = (
    "config.json",
    "generation_config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "chat_template.jinja",
)
OTHER = (
    "README.md",
    "original/consolidated.00.pth",
    "original/params.json",
    "original/tokenizer.model",
    "pytorch_model.bin",
    "consolidated.safetensors",
    "model.fp16.safetensors",
    "onnx/model.onnx",
    "flax_model.msgpack",
    "tf_model.h5",
    "modeling.py",
    "llama.gguf",
)


SCRIPT = "import sys; from pathlib import Path; from astro_factory.core.models import model_source; " + (
    "print(model_source(Path(sys.argv[1])))"
)
BASE_SCRIPT = f"{SCRIPT}; from astro_factory.core.adapters import base_source; " + (
    "print(base_source(model_source(Path(sys.argv[1]))))"
)


def sources(hub: HubServer, repo: Repo, home: Path, script: str = SCRIPT) -> list[Path]:
    """The folders that a script prints, in a process of its own: the client reads its environment when it is
    imported."""
    pointer = home / "pointer"
    pointer.mkdir(parents=True)
    (pointer / "hub.json").write_text(json.dumps({"repo": repo.id, "revision": repo.head.oid}))
    environment = os.environ | hub.environment(home) | {"HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", script, str(pointer)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [Path(line) for line in run.stdout.split()]


def test_only_files_that_loading_needs_are_downloaded(tmp_path):
    with HubServer() as hub:
        repo = hub.create("org/llama", "model", **{name: b"{}" for name in (*NEEDED, *OTHER)})
        [source] = sources(hub, repo, tmp_path)
    assert sorted(path.name for path in source.iterdir()) == sorted(NEEDED)


def adapter_weights() -> bytes:
    """The matrices of an adapter of rank 4."""
    import numpy as np
    from safetensors.numpy import save

    module = f"{TENSOR_PREFIX}model.layers.0.self_attn.q_proj"
    return save({module + A_SUFFIX: np.zeros((4, 8), np.float32), module + B_SUFFIX: np.zeros((8, 4), np.float32)})


def test_an_adapter_brings_its_base(tmp_path):
    """In the folder `base/`, as astro-factory publishes it, or in the repository and commit that the adapter names."""
    model = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"{}"}
    with HubServer() as hub:
        base = hub.create("org/llama", "model", **model)
        names = AdapterConfig(r=4, lora_alpha=16, target_modules=["q_proj"])
        named = names.model_copy(update={"base_model_name_or_path": "org/llama", "revision": base.head.oid})
        files = {"config.json": b"{}", "tokenizer.json": b"{}", ADAPTER_WEIGHTS: adapter_weights()}
        inside = {f"base/{name}": data for name, data in model.items()} | {"base/README.md": b""}
        for number, more in enumerate(
            ({ADAPTER_CONFIG: names.text().encode(), **inside}, {ADAPTER_CONFIG: named.text().encode()})
        ):
            adapter = hub.create(f"org/adapter-{number}", "model", **files, **more)
            own, found = sources(hub, adapter, tmp_path / str(number), BASE_SCRIPT)
            assert (own / ADAPTER_WEIGHTS).is_file()
            assert {path.name: path.read_bytes() for path in found.iterdir()} == model
