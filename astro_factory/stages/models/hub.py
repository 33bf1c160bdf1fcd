"""A model of the Hugging Face Hub at one commit. The artifact is a pointer; the files stay in the Hub's cache.

The pointer names the date in prompts, because the chat template is not known before the download: results that were
made with the date of the day have other keys.
"""

import json
from typing import Literal

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.chat_templates import PROMPT_DATE
from astro_factory.core.config import StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.models import POINTER

OUTPUT = ArtifactType.MODEL
VERSION = 2
HEAVY = False


class Config(StageConfig):
    kind: Literal["hub"]
    repo: str
    """The model, as `org/name`."""
    revision: str = "main"
    """Branch, tag or commit; the lock file pins it to a commit."""


def run(ctx: StageContext, config: Config) -> None:
    pointer = {"repo": config.repo, "revision": config.revision, "prompt_date": PROMPT_DATE}
    (ctx.out / POINTER).write_text(json.dumps(pointer, indent=1) + "\n", encoding="utf-8")
