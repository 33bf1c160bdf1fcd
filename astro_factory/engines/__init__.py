"""Text generation behind one protocol: `open_engine` for a model artifact, `sampler.Sampler` for a loaded model."""

from pathlib import Path

from astro_factory.core.errors import UserError
from astro_factory.core.models import model_source
from astro_factory.core.user_code import import_target, load_target
from astro_factory.engines.base import Engine, Request, Sample
from astro_factory.engines.config import ENGINES, EngineConfig, PythonConfig

__all__ = ["Engine", "Request", "Sample", "open_engine"]


def open_engine(config: EngineConfig, folder: Path) -> Engine:
    """The engine of a configuration for a model artifact's folder. Close it, or use it in a `with`.

    Imports the libraries of this kind only.

    Raises:
        UserError: E602 if the kind's library is not installed, E605 if an engine of another package or of the user
            cannot be loaded.
    """
    if isinstance(config, PythonConfig):
        make = load_target(config.target, "E605", f"engine '{config.target}'")
        return make(config.options, model_source(folder))
    kind = config.kind
    if kind not in ENGINES.builtin:
        return ENGINES.module(kind).open_engine(config, model_source(folder))
    try:
        engine = import_target(ENGINES.builtin[kind])
    except ModuleNotFoundError as error:
        raise UserError.of(
            "E602",
            f"an engine of kind '{kind}' needs the package '{error.name}', which is not installed",
            f"pip install 'astro-factory[{'vllm' if kind == 'vllm' else 'train'}]'",
        ) from error
    return engine(config, model_source(folder))
