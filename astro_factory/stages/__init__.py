"""The kinds of stage, in one table; a module holds a `Config`, `OUTPUT`, `VERSION`, `HEAVY` and `run(ctx, config)`.

Other packages add kinds through the entry-point group `astro_factory.<section>` (name: the kind, value: the module).
Modules are imported when a spec uses their kind, and none imports torch at its top.
"""

import importlib
from types import ModuleType

KINDS: dict[str, dict[str, str]] = {
    "models": {
        "hub": "astro_factory.stages.models.hub",
        "local": "astro_factory.stages.models.local",
        "init": "astro_factory.stages.models.init",
    },
    "problems": {
        "file": "astro_factory.stages.problems.file",
        "hub": "astro_factory.stages.problems.hub",
        "reasoning_gym": "astro_factory.stages.problems.reasoning_gym",
        "countdown": "astro_factory.stages.problems.countdown",
        "deduplicate": "astro_factory.stages.problems.deduplicate",
        "decontaminate": "astro_factory.stages.problems.decontaminate",
        "pass_rate": "astro_factory.stages.problems.pass_rate",
    },
    "stages": {
        "practice": "astro_factory.stages.practice",
        "dialogues": "astro_factory.stages.dialogues",
        "search": "astro_factory.stages.search",
        "linearize": "astro_factory.stages.linearize",
        "judge": "astro_factory.stages.judge",
        "rewrite": "astro_factory.stages.rewrite",
        "sft": "astro_factory.stages.sft",
        "grpo": "astro_factory.stages.grpo",
        "evaluate": "astro_factory.stages.evaluate",
    },
    "publish": {"publish": "astro_factory.stages.publish"},
}


def kinds(section: str) -> dict[str, str]:
    """Kind to module name, outsiders' included."""
    from importlib.metadata import entry_points

    found = {point.name: point.value for point in entry_points(group=f"astro_factory.{section}")}
    return found | KINDS[section]


def load_kind(section: str, kind: str) -> ModuleType | None:
    """The module of a kind, or None where there is no such kind."""
    name = KINDS[section].get(kind) or kinds(section).get(kind)
    return importlib.import_module(name) if name else None
