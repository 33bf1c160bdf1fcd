"""Reinforcement learning with verifiable rewards: TRL's GRPOTrainer with our rollouts, and without its padding.

TRL pads every response of a round to the longest and computes on the padding. Here a round's responses are sorted by
length before they are split into micro-batches, and each forward pass packs a row's prompt and response and trims the
batch to its longest row. Responses with advantage 0 add nothing to the gradient; their tokens are left out.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from astro_factory.core.chat import Message, encode_prompt
from astro_factory.core.context import Events
from astro_factory.core.verdicts import Outcome
from astro_factory.training.adapters import Trained, keep_single_precision, require_libraries
from astro_factory.training.alarms import Alarms, verdict_rates, wording_drift
from astro_factory.training.difficulty import DifficultyBand, SavesDifficulty
from astro_factory.training.dynamic_sampling import Asked
from astro_factory.training.grpo_arguments import make_arguments, most_rounds
from astro_factory.training.grpo_task import GeneratedSample, PromptRow, Rollout, Task
from astro_factory.training.microbatching import PASS_TOKENS, forward_passes, split_by_length, token_statistics
from astro_factory.training.response_judge import Judged, ResponseJudge, Result
from astro_factory.training.rollout_mismatch import log_prob_differences, mismatch
from astro_factory.training.rollout_schedule import RoundPrompt, plan_mixed_rounds
from astro_factory.training.rollout_server import base_url, guard_transfer
from astro_factory.training.rollout_settings import VLLMRollouts
from astro_factory.training.round_sampling import RoundSampler
from astro_factory.training.sampled_tokens import SampledTokens
from astro_factory.training.saving import save_model
from astro_factory.training.settings import GRPOSettings
from astro_factory.training.totals import write_totals
from astro_factory.training.trainers import (
    SAMPLING_PREFIX,
    VERDICT_PREFIX,
    RecipeMixin,
    last_checkpoint,
    train,
)
from astro_factory.training.vllm_rollouts import OwnWeights, prepare_vllm, send_merged_weights
from astro_factory.training.weights import load_model, load_tokenizer

_SHOWN_STEPS, _SHOWN_ROLLOUTS, _SHOWN_CHARS = 20, 4, 4000


class Trainer(RecipeMixin[GRPOSettings], GRPOTrainer):
    """TRL's trainer with our optimizer, our rollouts, and forward passes without padding."""

    def __init__(
        self,
        settings: GRPOSettings,
        task: Task,
        tokenizer: PreTrainedTokenizerBase,
        plan: Sequence[Sequence[RoundPrompt]],
        **kwargs: Any,
    ):
        self.settings = settings
        self._task = task
        self._plan = plan
        """The prompts of each round, over all processes."""
        self.band: DifficultyBand | None = None
        """Chooses other prompts by their difficulty, if the settings ask for it."""
        self._text_tokenizer = tokenizer
        self._alarms = Alarms(settings.alarm, task.warn)
        self.sampled: SampledTokens | None = None
        """Counts sampled tokens over all processes, if the settings ask for it."""
        self.sampled_logprobs: list[list[float]] = []
        """Log-probabilities of the current round's tokens under the policy that sampled them."""
        self._rows: list[PromptRow] = []
        self._replaced: list[Sequence[GeneratedSample]] = []
        """Groups of the current round that were sampled and not kept."""
        self._results: list[Result] = []
        """Of the responses of the current round that are not kept."""
        colocated = isinstance(settings.rollouts, VLLMRollouts) and not settings.served
        rollout = None if colocated else _roll_out
        super().__init__(rollout_func=rollout, reward_funcs=[self.score], processing_class=tokenizer, **kwargs)
        self._judge = ResponseJudge(settings, task, tokenizer, self.eos_token_ids)
        self.rounds = RoundSampler(self, task, tokenizer, plan)
        if settings.off_policy_steps and not settings.served:
            self.use_vllm, self.vllm_generation = True, OwnWeights()  # TRL corrects the loss only with vLLM
            self._last_loaded_step = -1

    def score(
        self,
        completion_ids: list[list[int]],
        problem: list[int],
        log_metric: Callable[[str, float], None],
        **_: object,
    ) -> list[float | None]:
        """Reward of each response; logs verdicts and the task's measures."""
        self._task.phase("reward")
        replaced = [sample.ids for group in self._replaced for sample in group]
        tokens = sum(map(len, [*completion_ids, *replaced]))
        self._task.spent(tokens, len(completion_ids) + len(replaced))
        total = self.accelerator.reduce(torch.tensor(tokens, device=self.accelerator.device), "sum")
        assert isinstance(total, Tensor)
        log_metric("sampled", float(total))
        if self.sampled:
            self.sampled.add(int(total.item()))
        if self.settings.max_replacements:
            log_metric("replaced", len(replaced) / len(completion_ids))
        judged = self._judge.judge(problem, completion_ids)
        self._record(judged.results)
        for index, text, found in zip(problem, judged.texts, judged.outcomes, strict=True):
            for outcome in Outcome:
                log_metric(_rate(outcome), float(found is outcome))
            for name, value in self._task.measures(self._task.problems[index], text).items():
                if value is not None:
                    log_metric(name, float(value))
        self._show(judged)
        return judged.rewards

    def are_flat(self, asked: Sequence[Asked], groups: Sequence[Sequence[GeneratedSample]]) -> list[bool]:
        """For each group whether it teaches nothing, and so is not kept."""
        flat, results = self._judge.flat_groups(asked, groups)
        self._results += results
        return flat

    def _record(self, results: list[Result]) -> None:
        """Let the difficulty band know how all responses of the round were judged."""
        if self.band:
            found: list[Result] = gather_object(self._results + results)
            self.band.record(self._round, found)

    def _show(self, judged: Judged) -> None:
        """Hand on the first responses of about `_SHOWN_STEPS` evenly chosen steps."""
        step = self.state.global_step // self.settings.num_iterations
        if step % -(-self.settings.steps // _SHOWN_STEPS) or not self.accelerator.is_main_process:
            return
        shown: list[Rollout] = []
        for index, text, outcome, reward in zip(*judged, strict=True):
            name = self._task.problems[index].id
            shown.append({"problem": name, "text": text[:_SHOWN_CHARS], "verdict": str(outcome), "reward": reward})
        # two responses to each of the first problems
        every = self.settings.group_size // 2
        self._task.show(self.state.global_step + 1, shown[::every][:_SHOWN_ROLLOUTS])

    def sample(self) -> tuple[list[list[int]], list[list[int]]]:
        """Prompt and response ids of every row of the current round in this process."""
        size, step = self.settings.group_size, self.state.global_step
        rows = self._rows[::size]
        found = self.rounds.take(step, rows)
        self._replaced = found.replaced
        for place, (asked, row) in enumerate(zip(found.asked, rows, strict=True)):
            if asked.problem != row["problem"]:  # TRL reads the rows again for the rewards
                other = self._task.row(RoundPrompt(asked.problem, 0))
                self._rows[place * size : (place + 1) * size] = [other] * size
        self.sampled_logprobs = [list(sample.logprobs) for group in found.groups for sample in group]
        responses = [list(sample.ids) for group in found.groups for sample in group]
        return [prompt for prompt in self.rounds.prompts(found.asked) for _ in range(size)], responses

    def _tokenize_prompts(self, prompts: list[list[Message]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """TRL's step before rollouts with vLLM, with chat templates in bounds; no images, no other fields."""
        ids = [encode_prompt(self._text_tokenizer, messages) for messages in prompts]
        if self._task.beginnings:
            for own, row in zip(ids, self._rows, strict=True):
                own += self._task.beginning_ids(self._text_tokenizer, row["problem"])
        return ids, None, {}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log without the entropy 0 of micro-batches that have no loss, and raise alarms."""
        measured = self._metrics["train"]
        measured["entropy"] = [value for value in measured["entropy"] if value] or [0.0]
        if shares := {outcome: measured[name] for outcome in Outcome if (name := _rate(outcome)) in measured}:
            watched = verdict_rates({outcome: sum(values) / len(values) for outcome, values in shares.items()})
            for name in ("mismatch", "corrected"):
                if values := measured.get(SAMPLING_PREFIX + name):
                    watched[name] = sum(values) / len(values)
            if (drift := wording_drift(measured)) is not None:
                watched["wording"] = drift
            measured["alarms"] = [self._alarms.update(self.state.global_step, watched)]
        super().log(logs, start_time)

    def _prepare_inputs(self, inputs: Any) -> dict[str, Any]:
        """The next micro-batch; samples a new round when one begins."""
        assert self.model is not None and isinstance(self.args, GRPOConfig)
        if not self.model.training:
            return super()._prepare_inputs(inputs)
        parts = self.args.steps_per_generation
        assert parts is not None
        if self._step % (parts * self.num_iterations) == 0 or self._buffered_inputs is None:
            self._rows, self._results = inputs, []
            self._choose_prompts()
            self._task.phase("rollout")
            batch = self._generate_and_score_completions(inputs)
            self._measure_mismatch(batch)
            if not self.beta:
                batch["completion_mask"] = batch["completion_mask"] * (batch["advantages"] != 0)[:, None]
            self._buffered_inputs = split_by_length(batch, parts)
            self._task.phase("step")
        return self._buffered_inputs[self._step % parts]

    @property
    def _round(self) -> int:
        return self.state.global_step // self.num_iterations

    def _choose_prompts(self) -> None:
        """Put the prompts that the difficulty band chooses in the place of the planned ones."""
        if self.band is None:
            return
        size, planned = self.settings.group_size, self._plan[self._round]
        chosen = self.band.choose(self._round, planned)
        count = len(self._rows) // size
        share = slice(self.accelerator.process_index * count, (self.accelerator.process_index + 1) * count)
        assert [row["problem"] for row in self._rows[::size]] == [prompt.problem for prompt in planned[share]]
        self._rows[:] = [self._task.row(prompt) for prompt in chosen[share] for _ in range(size)]
        for name, value in self.band.measures(chosen).items():
            self._metrics["train"][name].append(value)

    def _measure_mismatch(self, batch: dict[str, Tensor]) -> None:
        """Log how far the engine's probabilities are from the model's, over the responses of all processes."""
        correction = self.settings.correction
        if correction is None:
            return self._check_policy(batch)
        if "importance_sampling_ratio" not in batch:
            raise RuntimeError("the responses come from other probabilities, and the loss has no weights for them")
        keys = ("old_per_token_logps", "sampling_per_token_logps", "completion_mask")
        gather, pad = self.accelerator.gather, self.accelerator.pad_across_processes
        trained, sampled, mask = (cast(Tensor, gather(pad(batch[key], 1))) for key in keys)
        for name, value in mismatch(trained, sampled, mask, correction, self.settings.max_new_tokens).items():
            self._metrics["train"][name].append(value)

    def _check_policy(self, batch: dict[str, Tensor]) -> None:
        """Log how far the first responses' probabilities are from the model's: were they sampled with the adapter?

        Other rollouts of this process read the trained weights themselves, so they need no such forward pass.
        """
        if self.settings.adapter is None or isinstance(self.settings.rollouts, VLLMRollouts):
            return
        assert self.model is not None
        first = slice(self.args.per_device_train_batch_size)
        ids, mask = (
            torch.cat([batch[f"prompt_{key}"][first], batch[f"completion_{key}"][first]], 1) for key in ("ids", "mask")
        )
        with torch.no_grad():
            width = batch["completion_ids"].shape[1]
            trained, _, _ = self._get_per_token_logps_and_entropies(self.model, ids, mask, width)
        found = torch.stack(log_prob_differences(trained, self.sampled_logprobs[first]))
        total = self.accelerator.reduce(found, "sum")
        assert isinstance(total, Tensor)
        self._metrics["train"][SAMPLING_PREFIX + "mismatch"].append((total[0] / total[1].clamp(min=1)).item())

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: object,
    ) -> tuple[Tensor, Tensor | None, None]:
        """TRL's function for text models, on packed rows."""
        shares = forward_passes(attention_mask.sum(1).tolist(), batch_size, 0 if input_ids.is_cuda else PASS_TOKENS)
        parts = []
        for share in shares:
            with self.accelerator.autocast():
                rows = input_ids[share], attention_mask[share]
                parts.append(token_statistics(model, *rows, logits_to_keep, self.temperature, self.settings.flattens))
        log_probs = torch.cat([part.log_probs for part in parts])
        return log_probs, torch.cat([part.entropy for part in parts]) if compute_entropy else None, None


def train_grpo(
    settings: GRPOSettings,
    task: Task,
    model: Path,
    out: Path,
    work: Path,
    events: Events,
    tokens: int | None = None,
) -> None:
    """Train the model artifact `model` on `task` and write the new model artifact to `out`.

    `tokens` is the number of tokens to sample (`match_tokens`). Raises `UserError` E516 if they are not reached.
    """
    require_libraries(settings)
    torch.set_num_threads(settings.threads)
    events.phase("load")
    tokenizer = load_tokenizer(model)
    arguments = make_arguments(settings, work)
    trainer = make_trainer(settings, task, arguments, load_model(settings, model), tokenizer)
    checkpoint = last_checkpoint(work, settings.launch.processes)
    trainer.rounds.resume(checkpoint)
    if settings.count_tokens or tokens is not None:
        trainer.sampled = SampledTokens(settings.num_iterations, tokens)
        trainer.sampled.resume(trainer, checkpoint)
        trainer.add_callback(trainer.sampled)
    if trainer.band:
        if checkpoint:
            trainer.band.restore(Path(checkpoint))
        trainer.add_callback(SavesDifficulty(trainer.band))
    train(trainer, settings, work, events, round_steps=settings.num_iterations)
    events.phase("save")
    if trainer.sampled and trainer.is_world_process_zero():
        write_totals(out, trainer.sampled.totals(trainer.state.global_step))
    save_model(trainer, settings, model, out, events)


def make_trainer(
    settings: GRPOSettings,
    task: Task,
    arguments: GRPOConfig,
    model: Trained,
    tokenizer: PreTrainedTokenizerBase,
) -> Trainer:
    """The trainer, ready to run."""
    rounds, prompts = most_rounds(settings), settings.prompts_per_step
    share = settings.start_from.share if settings.start_from else 0.0
    plan = plan_mixed_rounds(task.pools, share, rounds=rounds, prompts=prompts, seed=settings.seed)
    rows = [task.row(prompt) for prompts in plan for prompt in prompts]
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if isinstance(settings.rollouts, VLLMRollouts):
        prepare_vllm(settings.rollouts)
    trainer = Trainer(
        settings,
        task,
        tokenizer,
        plan,
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list([{**row} for row in rows]),
    )
    if settings.difficulty:
        trainer.band = DifficultyBand(settings.difficulty, task.pools, task.rates, settings.seed)
    keep_single_precision(model)
    if isinstance(settings.rollouts, VLLMRollouts):
        send_merged_weights(trainer, model)
    if settings.served:
        guard_transfer(trainer, base_url(settings.served))
    return trainer


def _rate(outcome: Outcome) -> str:
    """Name of an outcome's share of the responses in the trainer's metrics."""
    return f"{VERDICT_PREFIX}{outcome}"


def _roll_out(prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
    """TRL's hook. It ignores `prompts`: seeds need the problems, which the rows of the round have."""
    assert isinstance(trainer, Trainer)
    prompt_ids, responses = trainer.sample()
    logprobs = trainer.sampled_logprobs if trainer.use_vllm else None
    return {"prompt_ids": prompt_ids, "completion_ids": responses, "logprobs": logprobs}
