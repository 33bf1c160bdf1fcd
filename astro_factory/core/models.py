"""Where the weights of a model artifact are: in its folder, or at the pinned Hub revision that it points to."""

import json
from pathlib import Path

POINTER = "hub.json"


def model_source(folder: Path) -> Path:
    """The local folder with config, weights and tokenizer of a model artifact.

    A folder with `hub.json`, `{"repo": ..., "revision": <commit>}`, is a pointer: its files are downloaded once, into
    the Hub's cache.
    """
    pointer = folder / POINTER
    if not pointer.is_file():
        return folder
    from huggingface_hub import snapshot_download

    target = json.loads(pointer.read_text())
    return Path(snapshot_download(target["repo"], revision=target["revision"]))
