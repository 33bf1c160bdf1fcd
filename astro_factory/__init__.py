"""A declarative factory for reasoning datasets and reasoning models (the ASTRO method, arXiv 2507.00417)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astro_factory.api import load

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`load` from `astro_factory.api` when it is first used, so that the package itself imports in a moment."""
    if name == "load":
        from astro_factory.api import load

        return load
    raise AttributeError(f"module 'astro_factory' has no attribute '{name}'")
