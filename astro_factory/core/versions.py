"""Versions of the installed libraries that can change a result."""

from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "vllm",
    "deepspeed",
    "accelerate",
    "tokenizers",
    "sympy",
    "pyarrow",
)


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    """The version of each library by its name; libraries that are not installed are left out."""
    versions = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
