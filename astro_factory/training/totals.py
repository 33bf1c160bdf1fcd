"""What a stage of reinforcement learning sampled, in a file beside its model: what `match_tokens` reads."""

import json
from pathlib import Path
from typing import TypedDict

from astro_factory.core.errors import Diagnostic, UserError

TOTALS = "training.json"
"""The file's name in the model's folder."""


class Totals(TypedDict):
    """Content of the file."""

    sampled_tokens: int
    """Tokens of all responses, over all processes."""
    rounds: int


def write_totals(folder: Path, totals: Totals) -> None:
    """Write the file."""
    (folder / TOTALS).write_text(json.dumps(totals) + "\n", encoding="utf-8")


def sampled_by(folder: Path, stage: str) -> int:
    """The tokens that the stage of a model artifact sampled. Raises `UserError` E515 if it did not count them."""
    path = folder / TOTALS
    if not path.is_file():
        raise UserError(not_counted(stage))
    totals: Totals = json.loads(path.read_text(encoding="utf-8"))
    return totals["sampled_tokens"]


def not_counted(stage: str) -> Diagnostic:
    """The error for a stage whose sampling cannot be matched."""
    cause = f"match_tokens names '{stage}', which does not count the tokens that it samples"
    return Diagnostic("E515", cause, "name a stage of kind grpo, and set `count_tokens: true` there")
