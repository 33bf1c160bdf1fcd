"""Runs a frozen plan: stage processes, events, resume. The entry point is `build`."""

from astro_factory.runtime.options import BuildOptions
from astro_factory.runtime.outcomes import Build, Outcome
from astro_factory.runtime.scheduler import build

__all__ = ["Build", "BuildOptions", "Outcome", "build"]
