"""Running a frozen plan: stage processes, events, resume. `build` is the way in."""

from astro_factory.runtime.scheduler import Build, build

__all__ = ["Build", "build"]
