"""A model of the Hugging Face Hub at one commit. The artifact is a pointer; the files stay in the Hub's cache.

The pointer names the date in prompts, because the chat template is not known before the download: results that were
made with the date of the day have other keys.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.chat_templates import PROMPT_DATE
from astro_factory.core.config import StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.machines import Machine
from astro_factory.core.model_shapes import ModelShape, known_shape, read_shape_file
from astro_factory.core.models import POINTER
from astro_factory.core.requirements import Requirements
from astro_factory.core.workload import Workload

OUTPUT = ArtifactType.MODEL
VERSION = 2
HEAVY = False


class Config(StageConfig):
    kind: Literal["hub"]
    repo: str
    """The model, as `org/name`."""
    revision: str = "main"
    """Branch, tag or commit; the lock file pins it to a commit."""


def shape(config: Config, shapes: Mapping[str, ModelShape]) -> ModelShape | None:
    """From the cached config.json, or from the table that ships with the package; nothing is downloaded."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(config.repo, "config.json", revision=config.revision)
    return (read_shape_file(Path(cached)) if isinstance(cached, str) else None) or known_shape(config.repo)


def requirements(
    config: Config, shapes: Mapping[str, ModelShape], workload: Workload, machine: Machine
) -> Requirements | None:
    """The disk space of the download."""
    found = shape(config, shapes)
    return Requirements(disk=found.weight_bytes * found.parameters) if found else None


def run(ctx: StageContext, config: Config) -> None:
    pointer = {"repo": config.repo, "revision": config.revision, "prompt_date": PROMPT_DATE}
    (ctx.out / POINTER).write_text(json.dumps(pointer, indent=1) + "\n", encoding="utf-8")
