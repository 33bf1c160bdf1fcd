"""What each process samples in a round: its share of the prompts, their seeds, and the round that is sampled ahead."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transformers import PreTrainedTokenizerBase

from astro_factory.training.adapters import without_wrapper
from astro_factory.training.dynamic_sampling import Asked, sample_round
from astro_factory.training.grpo_task import Generate, GeneratedSample, PromptRow, Task
from astro_factory.training.rollout_schedule import RoundPrompt, replacement, sample_seeds
from astro_factory.training.rounds_ahead import Groups, RoundsAhead
from astro_factory.training.trainers import SAMPLING_PREFIX
from astro_factory.training.vllm_rollouts import sampling_model

if TYPE_CHECKING:
    from astro_factory.training.grpo import Trainer


class RoundSampler:
    """Samples from the model of a trainer, or from a server that has its weights.

    Args:
        plan: the prompts of each round, over all processes.
    """

    def __init__(
        self,
        trainer: "Trainer",
        task: Task,
        tokenizer: PreTrainedTokenizerBase,
        plan: Sequence[Sequence[RoundPrompt]],
    ):
        self._trainer, self._settings = trainer, trainer.settings
        self._task, self._tokenizer, self._plan = task, tokenizer, plan
        self._generate: Generate | None = None
        self._ahead: RoundsAhead | None = None
        if self._settings.off_policy_steps:
            self._ahead = RoundsAhead(overlaps=self._settings.served is not None)
            trainer.add_callback(self._ahead)

    def resume(self, checkpoint: str | None) -> None:
        """Continue with the round that waited in a checkpoint."""
        if self._ahead:
            self._ahead.resume(checkpoint, self._trainer.args.process_index)

    def wait(self) -> None:
        """Wait until this process samples nothing. Raises what sampling raised."""
        if self._ahead:
            self._ahead.wait()

    def take(self, step: int, rows: Sequence[PromptRow]) -> Groups:
        """This process's groups of the round that begins after `step` optimizer steps.

        One step off-policy they were sampled a round ago, and the next round begins.

        Args:
            rows: the prompts of the round in this process.
        """
        if self._ahead is None:
            return self.sample(step, rows)
        if [row["problem"] for row in rows] != [row["problem"] for row in self.planned(step)]:
            raise RuntimeError("TRL divides the prompts of a round between the processes in another way than planned")
        iterations = self._settings.num_iterations
        following: int | None = step + iterations
        if following >= self._trainer.args.max_steps:
            following = None
        ahead = self._ahead.take(step, following, lambda number: self.sample(number, self.planned(number)))
        age = (step - ahead.weights) / iterations
        if age > self._settings.off_policy_steps:
            raise RuntimeError(f"the responses of step {step} come from weights that are {age:g} rounds old")
        self._trainer._metrics["train"][SAMPLING_PREFIX + "age"].append(age)
        return ahead.groups

    def sample(self, step: int, rows: Sequence[PromptRow]) -> Groups:
        """The groups of a round from the current weights."""
        size, seed, problems = self._settings.group_size, self._settings.seed, self._task.problems
        places = [(problems[row["problem"]].id, row["copy"]) for row in rows]
        planned = [
            Asked(row["problem"], sample_seeds(seed, step, *place, size))
            for row, place in zip(rows, places, strict=True)
        ]

        def other(index: int, attempt: int) -> Asked:
            problem, band = planned[index].problem, self._trainer.band
            pool = next(pool for pool in self._task.pools if problem in pool)
            candidates = band.spare(problem) if band else pool
            return Asked(*replacement(seed, step, *places[index], attempt, candidates, size))

        with sampling_model(self._trainer, self._settings) as model:
            self._generate = self._generate or self._task.make_generate(without_wrapper(model), self._tokenizer)
            most = self._settings.max_replacements
            return sample_round(planned, self._generate_groups, self._trainer.are_flat, other, most)

    def planned(self, step: int) -> list[PromptRow]:
        """This process's prompts of the round that begins after `step` optimizer steps, as they were planned."""
        count = self._settings.prompts_per_step // self._trainer.accelerator.num_processes
        first = self._trainer.accelerator.process_index * count
        prompts = self._plan[step // self._settings.num_iterations][first : first + count]
        return [self._task.row(prompt) for prompt in prompts]

    def prompts(self, asked: Sequence[Asked]) -> list[list[int]]:
        """Token ids of the prompts."""
        return [self._task.prompt_ids(self._tokenizer, one.problem) for one in asked]

    def _generate_groups(self, asked: Sequence[Asked]) -> Sequence[Sequence[GeneratedSample]]:
        assert self._generate
        return self._generate(self.prompts(asked), [one.seeds for one in asked])
