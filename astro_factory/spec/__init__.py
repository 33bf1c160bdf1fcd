"""YAML specs: reading with positions, includes, overrides, interpolation, checking. `compile_spec` is the way in."""

from astro_factory.spec.compiler import compile_spec

__all__ = ["compile_spec"]
