"""The keys at the top of a spec: what each holds, and what it is for."""

from collections.abc import Mapping
from typing import Any, Literal

from astro_factory.spec.sweeps import Sweep

LANGUAGE = 1
NODE_SECTIONS = ("models", "problems", "stages", "publish")
DEFINITION_SECTIONS = ("engines", "search_policies", "suites")
OTHER_KEYS: Mapping[str, Any] = {
    "factory": Any,
    "name": Any,
    "params": dict[str, Any],
    "profiles": dict[str, dict[str, Any]],
    "sweeps": dict[str, Sweep],
    "imports": list[str],
    "env": Literal["recorded", "strict"],
    "templates": dict[str, str],
}
"""The keys that are no sections of definitions or nodes, with what they hold."""

DOCUMENTATION = {
    "factory": f"Version of the language: {LANGUAGE}.",
    "name": "Name of the study: letters, digits and _ . -",
    "include": "Files that are merged into this one, relative to its folder.",
    "params": "Values that the rest of the spec takes as ${params.NAME}.",
    "models": "Where weights come from.",
    "problems": "Questions with answers, and the verifier that decides.",
    "engines": "How text is generated.",
    "search_policies": "How to search.",
    "templates": "Names for the templates that word traces: NAME to a path below a templates/ folder.",
    "suites": "What to measure: problems, samples, metrics.",
    "stages": "The work: each stage names what it reads.",
    "publish": "What goes where.",
    "imports": "Store exports that came with the spec, relative to its folder.",
    "env": "`recorded`: versions of libraries are told with a result; `strict`: other versions mean another result.",
    "profiles": "Named sets of overrides, for --profile: dotted path to value.",
    "sweeps": "Variants of this spec that share every stage they can.",
}
"""Every key of a spec, in the order of the guide."""


def definition_type(section: str) -> Any:
    """What a definition of the section is made of."""
    if section == "engines":
        from astro_factory.engines.config import EngineConfig

        return EngineConfig
    if section == "search_policies":
        from astro_factory.search.config import PolicyConfig

        return PolicyConfig
    from astro_factory.evaluation.suite import Suite

    return Suite
