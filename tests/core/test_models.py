"""What is downloaded of a model repository, with the real client and a Hub in this process."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.hub.server import HubServer

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


def test_only_files_that_loading_needs_are_downloaded(tmp_path):
    """In a process of its own: the client reads its environment when it is imported."""
    with HubServer() as hub:
        repo = hub.create("org/llama", "model", **{name: b"{}" for name in (*NEEDED, *OTHER)})
        pointer = tmp_path / "pointer"
        pointer.mkdir()
        (pointer / "hub.json").write_text(json.dumps({"repo": "org/llama", "revision": repo.head.oid}))
        command = [sys.executable, "-c", SCRIPT, str(pointer)]
        environment = os.environ | hub.environment(tmp_path / "home") | {"HF_HUB_OFFLINE": "0"}
        source = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert sorted(path.name for path in Path(source).iterdir()) == sorted(NEEDED)
