"""Rewards for other trainers: the verdict of a problem's verifier, by the stage's reward. Needs no torch.

judge = Judge.load(Path("reward.json"))
judge.reward(problem, response)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astro_factory.core.problems import Problem
from astro_factory.training.rewards import reward_of
from astro_factory.training.settings import Reward
from astro_factory.verifiers import get_verifier

REWARD_FILE = "reward.json"


@dataclass(frozen=True)
class Judge:
    """Judges responses in the process of another trainer."""

    settings: Reward
    ends: frozenset[int] = frozenset()
    """Token ids that end a response; a response without one was cut off."""
    longest: int = 1
    """Most tokens of a response, by which `length_cost` is measured."""

    @classmethod
    def load(cls, file: Path) -> "Judge":
        """Read what `save` wrote."""
        found = json.loads(file.read_text(encoding="utf-8"))
        return cls(Reward.model_validate(found["reward"]), frozenset(found["ends"]), found["longest"])

    def save(self, file: Path) -> None:
        found = {"reward": self.settings.model_dump(), "ends": sorted(self.ends), "longest": self.longest}
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    def reward(
        self, problem: Mapping[str, Any], response: str, truncated: bool = False, tokens: int = 0
    ) -> float | None:
        """The reward of a response to a row of `problems.parquet`; None for one that could not be judged.

        Args:
            tokens: its length; 0 if it is not known, and then `length_cost` costs nothing.
        """
        asked = Problem.from_row(dict(problem))
        outcome = get_verifier(asked.verifier).verify(asked, response).outcome
        return reward_of(self.settings, outcome, truncated, tokens / self.longest)

    def is_cut_off(self, ids: list[int]) -> bool:
        """Whether a response, as token ids, has no end."""
        return not ids or ids[-1] not in self.ends
