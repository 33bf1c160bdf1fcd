"""Counts the tokens that reinforcement learning samples, and stops it at a given number (`match_tokens`).

How many tokens a run samples shows only while it runs. A run with a target stops after the round that comes nearest to
it, so the difference is at most about half a round.
"""

import json
from pathlib import Path

from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from astro_factory.core.errors import UserError
from astro_factory.training.totals import Totals

ROUNDS_RATIO = 10
"""With a target, at most this many times `steps` rounds: responses may be shorter than those of the other arm."""
_COUNT = "sampled_tokens.json"
"""File in a checkpoint."""


class SampledTokens(TrainerCallback):
    """Counts sampled tokens, keeps the count in checkpoints, and stops training nearest to `target`."""

    def __init__(self, round_steps: int, target: int | None):
        self.total, self._last_round = 0, 0
        self._round_steps, self._target = round_steps, target

    def add(self, tokens: int) -> None:
        """Count the tokens of a round, over all processes."""
        self.total, self._last_round = self.total + tokens, tokens

    def resume(self, trainer: Trainer, checkpoint: str | None) -> None:
        """Continue the count of a checkpoint; a run that was stopped after its last round has nothing left to do."""
        if checkpoint is None:
            return
        counted = json.loads((Path(checkpoint) / _COUNT).read_text(encoding="utf-8"))
        self.total, self._last_round = counted["total"], counted["last_round"]
        if self.reached:  # with more rows the trainer would take one more step
            data = trainer.train_dataset
            assert isinstance(data, Dataset)
            rows = len(data) * counted["step"] // trainer.args.max_steps
            trainer.train_dataset, trainer.args.max_steps = data.select(range(rows)), counted["step"]

    @property
    def reached(self) -> bool:
        """Whether another round would lead further away from the target."""
        return self._target is not None and self.total + self._last_round / 2 >= self._target

    def totals(self, steps: int) -> Totals:
        """The totals after some optimizer steps. Raises `UserError` E516 if the target was not reached."""
        if self._target is not None and not self.reached:
            raise UserError.of(
                "E516",
                f"{self.total} tokens were sampled in {ROUNDS_RATIO} times `steps` rounds, not {self._target} "
                "as match_tokens asks",
                "raise steps; see in the training curves why responses are so short",
            )
        return {"sampled_tokens": self.total, "rounds": steps // self._round_steps}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step % self._round_steps == 0 and self.reached:
            control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.is_world_process_zero:
            counted = {"total": self.total, "last_round": self._last_round, "step": state.global_step}
            folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            (folder / _COUNT).write_text(json.dumps(counted), encoding="utf-8")
