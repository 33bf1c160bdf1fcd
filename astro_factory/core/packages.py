"""The optional packages and the extras of `pip install` that bring them."""

from collections.abc import Iterable
from importlib.util import find_spec

from astro_factory.core.errors import Diagnostic

EXTRAS = {
    **dict.fromkeys(("torch", "transformers", "trl", "accelerate", "datasets", "peft", "safetensors"), "train"),
    "vllm": "vllm",
    "deepspeed": "deepspeed",
    "bitsandbytes": "quantize",
    "gguf": "gguf",
    "ray": "ray",
    "reasoning_gym": "gym",
    "inspect_ai": "inspect",
    "lm_eval": "harness",
    "s3fs": "s3",
}
"""The name under which a package is imported to its extra."""


def missing(packages: Iterable[str]) -> list[str]:
    """Those of the packages that are not installed, in order. Nothing is imported."""
    return [name for name in packages if not _is_installed(name)]


def not_installed(packages: Iterable[str], needed_by: str, code: str = "E185") -> Diagnostic:
    """The diagnostic about optional packages that are not there."""
    names = list(packages)
    extras = ",".join(dict.fromkeys(EXTRAS[name] for name in names))
    are = "is" if len(names) == 1 else "are"
    cause = f"{needed_by} {', '.join(names)}, which {are} not installed"
    return Diagnostic(code, cause, f"pip install 'astro-factory[{extras}]'")


def missing_import(error: ModuleNotFoundError) -> Diagnostic | None:
    """The diagnostic about an import that failed; None if it was not of an optional package."""
    name = (error.name or "").partition(".")[0]
    return not_installed([name], "this needs") if name in EXTRAS and missing([name]) else None


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
