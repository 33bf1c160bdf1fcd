"""A declarative factory for reasoning datasets and reasoning models (the ASTRO method, arXiv 2507.00417)."""

__version__ = "0.1.0"
