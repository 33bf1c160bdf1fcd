"""The versions and hardware that made a result. They are stored with the result and are not part of its key."""

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
    """The environment in the keys of a spec with `env: strict`: versions and models of hardware, no counts."""
    found = environment()
    return {name: found[name] for name in ("versions", "machine", "system")} | {"gpus": sorted(set(found["gpus"]))}


def environment() -> dict[str, Any]:
    """Versions of everything that can change a result, and the kind of machine."""
    versions = {"astro-factory": __version__, "python": platform.python_version(), **library_versions()}
    return {
        "versions": versions,
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "gpus": gpu_models(),
    }
