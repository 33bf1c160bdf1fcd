"""What made a result: versions and hardware. Kept beside the result, never part of its key."""

import os
import platform
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from astro_factory import __version__
from astro_factory.core.devices import gpu_models

_PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "vllm",
    "deepspeed",
    "accelerate",
    "tokenizers",
    "latex2sympy2-extended",
    "pyarrow",
)


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    """Versions of the installed libraries that can change a result."""
    versions = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def key_environment() -> dict[str, Any]:
    """What of the environment is in the keys of a spec with `env: strict`: versions and hardware, no counts."""
    found = environment()
    return {name: found[name] for name in ("versions", "machine", "system")} | {"gpus": sorted(set(found["gpus"]))}


def environment() -> dict[str, Any]:
    """Versions of what can change a result, and the machine's kind."""
    versions = {"astro-factory": __version__, "python": platform.python_version(), **library_versions()}
    return {
        "versions": versions,
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "gpus": gpu_models(),
    }
