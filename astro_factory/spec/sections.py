"""The top-level keys of a spec: the type and documentation of each."""

from collections.abc import Mapping
from typing import Any, Literal

from astro_factory.core.tracking import TrackConfig
from astro_factory.spec.sweeps import Sweep

LANGUAGE = 1
NODE_SECTIONS = ("models", "problems", "stages", "publish")
DEFINITION_SECTIONS = ("step_formats", "engines", "search_policies", "suites")
OTHER_KEYS: Mapping[str, Any] = {
    "factory": Any,
    "name": Any,
    "params": dict[str, Any],
    "profiles": dict[str, dict[str, Any]],
    "sweeps": dict[str, Sweep],
    "imports": list[str],
    "env": Literal["recorded", "strict"],
    "templates": dict[str, str],
    "track": TrackConfig,
}
"""The types of the top-level keys other than the sections above."""

DOCUMENTATION = {
    "factory": f"Version of the language: {LANGUAGE}.",
    "name": "Name of the study: letters, digits and _ . -",
    "include": "Files that are merged into this one, relative to its folder.",
    "params": "Values that the rest of the spec refers to as ${params.NAME}.",
    "models": "Where weights come from.",
    "problems": "Questions with answers, and the verifier that checks them.",
    "engines": "How text is generated.",
    "step_formats": "What a step of a solution is, for search, traces and the parser of responses.",
    "search_policies": "How to search.",
    "templates": "Names for the templates that phrase traces: NAME to a path below a templates/ folder.",
    "suites": "What to measure: problems, samples, metrics.",
    "stages": "The work: each stage names its inputs.",
    "publish": "What to publish, and where.",
    "imports": "Store exports that come with the spec, relative to its folder.",
    "env": "`recorded`: library versions are recorded with each result. `strict`: they are part of its key.",
    "track": "The experiment tracker that gets the curves of each build. Not in the key.",
    "profiles": "Named sets of overrides, for --profile: dotted path to value.",
    "sweeps": "Variants of this spec, which share every stage that they can.",
}
"""Every top-level key, in the order of the guide."""


def definition_type(section: str) -> Any:
    """The type of the definitions in a section."""
    if section == "engines":
        from astro_factory.engines.config import EngineConfig

        return EngineConfig
    if section == "search_policies":
        from astro_factory.search.config import PolicyConfig

        return PolicyConfig
    if section == "step_formats":
        from astro_factory.core.step_format import StepFormat

        return StepFormat
    from astro_factory.evaluation.suite import Suite

    return Suite
