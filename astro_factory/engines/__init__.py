"""Text generation behind one protocol: `open_engine` for a model artifact, `sampler.Sampler` for a live model."""

from importlib import import_module
from pathlib import Path
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.core.models import model_source
from astro_factory.engines.base import Engine, Request, Sample

__all__ = ["Engine", "Request", "Sample", "open_engine"]

_CLASSES = {
    "transformers": "TransformersEngine",
    "vllm": "VllmEngine",
    "openai": "OpenAIEngine",
    "scripted": "ScriptedEngine",
}


def open_engine(config: Any, folder: Path) -> Engine:
    """The engine of an `engines.config.EngineConfig` for a model artifact's folder. Close it, or use it in a `with`.

    Libraries are imported here, those of the chosen kind only.

    Raises:
        UserError: E602 if the kind's library is not installed, E605 if an engine of one's own cannot be loaded.
    """
    if config.kind == "python":
        return _user_engine(config.target)(config.options, model_source(folder))
    try:
        kind = getattr(import_module(f"astro_factory.engines.{config.kind}_engine"), _CLASSES[config.kind])
    except ModuleNotFoundError as error:
        raise UserError.of(
            "E602",
            f"an engine of kind '{config.kind}' needs the package '{error.name}', which is not installed",
            f"pip install 'astro-factory[{'vllm' if config.kind == 'vllm' else 'train'}]'",
        ) from error
    return kind(config, model_source(folder))


def _user_engine(target: str) -> Any:
    """A class outside this package."""
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError.of(
            "E605",
            f"the engine '{target}' cannot be loaded ({error})",
            "install its package, and write target as package.module:Class",
        ) from error
