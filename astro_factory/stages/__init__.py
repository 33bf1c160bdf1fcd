"""The kinds of stage in one table. Each is a module with the names of `stages.base.StageKind`.

Other packages add kinds through the entry-point group `astro_factory.<section>` (name: the kind, value: the module).
A module is imported when a spec uses its kind, and none imports torch at its top.
"""

from astro_factory.core.config import StageConfig
from astro_factory.core.registry import KindRegistry
from astro_factory.stages.base import REQUIRED, StageKind, stage_kind

__all__ = ["KINDS", "REGISTRIES", "StageKind", "load_kind", "stage_kind"]

KINDS: dict[str, dict[str, str]] = {
    "models": {
        "hub": "astro_factory.stages.models.hub",
        "local": "astro_factory.stages.models.local",
        "gguf": "astro_factory.stages.models.gguf",
        "init": "astro_factory.stages.models.init",
    },
    "problems": {
        "file": "astro_factory.stages.problems.file",
        "hub": "astro_factory.stages.problems.hub",
        "reasoning_gym": "astro_factory.stages.problems.reasoning_gym",
        "countdown": "astro_factory.stages.problems.countdown",
        "puzzles": "astro_factory.stages.problems.puzzles",
        "word_problems": "astro_factory.stages.problems.word_problems",
        "deduplicate": "astro_factory.stages.problems.deduplicate",
        "decontaminate": "astro_factory.stages.problems.decontaminate",
        "pass_rate": "astro_factory.stages.problems.pass_rate",
    },
    "stages": {
        "practice": "astro_factory.stages.practice",
        "word_practice": "astro_factory.stages.word_practice",
        "dialogues": "astro_factory.stages.dialogues",
        "worked_solutions": "astro_factory.stages.worked_solutions",
        "distill": "astro_factory.stages.distill",
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


REGISTRIES = {
    section: KindRegistry(
        f"astro_factory.{section}",
        f"{section.removesuffix('s')} kind",
        "E124",
        table,
        base=StageConfig,
        needs=REQUIRED[1:],
    )
    for section, table in KINDS.items()
}
"""Section of a spec to the kinds that it takes."""


def load_kind(section: str, kind: str) -> StageKind | None:
    """The kind of a section, None if there is no such kind. Raises what `KindRegistry.load` does, with E124."""
    module = REGISTRIES[section].load(kind)
    return None if module is None else stage_kind(module.__name__)
