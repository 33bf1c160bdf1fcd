"""What made a result: versions and hardware. Kept beside the result, never part of its key."""

import os
import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from astro_factory import __version__

_PACKAGES = ("torch", "transformers", "trl", "vllm", "deepspeed", "accelerate", "tokenizers", "math-verify", "pyarrow")


@lru_cache(maxsize=1)
def environment() -> dict[str, Any]:
    """Versions of what can change a result, and the machine's kind."""
    versions = {"astro-factory": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"versions": versions, "machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
