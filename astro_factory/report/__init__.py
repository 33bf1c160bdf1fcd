"""Looking at what was built: the HTML report, summaries for the terminal, filters over rows."""

from astro_factory.report.built import BuiltSpec, BuiltStage, built_spec

__all__ = ["BuiltSpec", "BuiltStage", "built_spec"]
