"""Reinforcement learning with verifiable rewards: TRL's GRPOTrainer with our rollouts, and without its padding.

TRL pads every response of a round to the longest and computes on the padding. Here a round's responses are sorted by
length before they are cut into micro-batches, and each forward pass moves a row's prompt and response together and cuts
the batch to its longest row. Responses whose advantage is 0 add nothing to the gradient; their tokens are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation

from astro_factory.core.chat import encode_prompt
from astro_factory.core.context import Events
from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.training.microbatching import PASS_TOKENS, cut, passes, per_token
from astro_factory.training.rollout_schedule import micro_batches, plan_rounds, sample_seeds
from astro_factory.training.settings import GRPOSettings, Reward, VLLMRollouts
from astro_factory.training.trainers import VERDICTS, RecipeMixin, common_arguments, train
from astro_factory.training.verdict_monitor import UNJUDGED, VerdictMonitor
from astro_factory.training.weights import load_network, load_tokenizer, save_model

_PROBES = 4


class Generate(Protocol):
    """Samples one response for each seed of each prompt, from a model whose weights change between calls."""

    def __call__(self, prompts: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]) -> list[list[Any]]:
        """Samples with `ids`, in the order of prompts and seeds."""


@dataclass(frozen=True)
class Task:
    """What the stage brings from other rooms."""

    problems: list[Problem]
    judge: Callable[[Problem, str], Verdict]
    make_generate: Callable[[Any, Any], Generate]
    """Model and tokenizer to the function that samples."""
    measures: Callable[[Problem, str], Mapping[str, float]] = lambda problem, response: {}
    """Further figures of a response for the curves, such as how often it goes back."""
    spent: Callable[[int, int], None] = lambda tokens, responses: None
    """Told of every batch of responses that this process got."""
    phase: Callable[[str], None] = lambda name: None
    """Told what begins."""
    warn: Callable[[str], None] = lambda text: None
    """Told what the user should know."""


class Trainer(RecipeMixin, GRPOTrainer):
    """TRL's trainer with our optimizer, our rollouts, and forward passes without padding."""

    def __init__(self, settings: GRPOSettings, task: Task, **kwargs: Any):
        self.settings = settings
        self._task = task
        self._alarms = VerdictMonitor(settings.alarm, task.warn)
        self._generate_samples: Generate | None = None
        self._rows: list[dict[str, Any]] = []
        own = not isinstance(settings.rollouts, VLLMRollouts)
        super().__init__(rollout_func=_roll_out if own else None, reward_funcs=[self.score], **kwargs)

    def score(self, completion_ids: list[list[int]], problem: list[int], log_metric: Any, **_: Any) -> list[float]:
        """Reward of each response; reports verdicts and the task's measures."""
        texts = self.processing_class.batch_decode(completion_ids, skip_special_tokens=True)
        self._task.phase("reward")
        self._task.spent(sum(map(len, completion_ids)), len(completion_ids))
        rewards = []
        for ids, text, index in zip(completion_ids, texts, problem, strict=True):
            asked = self._task.problems[index]
            verdict = self._task.judge(asked, text)
            rewards.append(reward_of(self.settings.reward, verdict.outcome, ids[-1] not in self.eos_token_ids))
            for outcome in Outcome:
                log_metric(_rate(outcome), float(verdict.outcome is outcome))
            for name, value in self._task.measures(asked, text).items():
                log_metric(name, float(value))
        return rewards

    def sample(self) -> tuple[list[list[int]], list[list[int]]]:
        """Prompt and response ids of every row of the present round on this process."""
        size = self.num_generations
        rows = self._rows[::size]
        prompts = [encode_prompt(self.processing_class, row["prompt"]) for row in rows]
        step = self.state.global_step
        seeds = [
            sample_seeds(self.settings.seed, step, self._task.problems[row["problem"]].id, row["copy"], size)
            for row in rows
        ]
        with unwrap_model_for_generation(self.model_wrapped, self.accelerator) as model:
            self._generate_samples = self._generate_samples or self._task.make_generate(model, self.processing_class)
            groups = self._generate_samples(prompts, seeds)
        responses = [list(sample.ids) for group in groups for sample in group]
        return [prompt for prompt in prompts for _ in range(size)], responses

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """A micro-batch with nothing to learn has no entropy, rather than one of 0; the rates of verdicts are heard."""
        measured = self._metrics["train"]
        measured["entropy"] = [value for value in measured["entropy"] if value] or [0.0]
        if shares := {outcome: measured[name] for outcome in Outcome if (name := _rate(outcome)) in measured}:
            rates = {outcome: sum(values) / len(values) for outcome, values in shares.items()}
            measured["alarms"] = [self._alarms.hear(self.state.global_step, rates)]
        super().log(logs, start_time)

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        """The micro-batch that is next, sampling a new round where one begins."""
        if not self.model.training:
            return super()._prepare_inputs(generation_batch)
        parts = self.args.steps_per_generation
        if self._step % (parts * self.num_iterations) == 0 or self._buffered_inputs is None:
            self._rows = generation_batch
            self._task.phase("rollout")
            batch = self._generate_and_score_completions(generation_batch)
            if not self.beta:
                batch["completion_mask"] = batch["completion_mask"] * (batch["advantages"] != 0)[:, None]
            self._buffered_inputs = cut(batch, parts)
            self._task.phase("step")
        return self._buffered_inputs[self._step % parts]

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: Any,
    ) -> tuple[Tensor, Tensor | None, None]:
        """TRL's function for text, on packed rows."""
        shares = passes(attention_mask.sum(1).tolist(), batch_size, 0 if input_ids.is_cuda else PASS_TOKENS)
        parts = []
        for share in shares:
            with self.accelerator.autocast():
                parts.append(
                    per_token(model, input_ids[share], attention_mask[share], logits_to_keep, self.temperature)
                )
        log_probs = torch.cat([part.log_probs for part in parts])
        return log_probs, torch.cat([part.entropy for part in parts]) if compute_entropy else None, None


def train_grpo(settings: GRPOSettings, task: Task, model: Path, out: Path, work: Path, events: Events) -> None:
    """Train the model artifact `model` on `task`; the new model artifact is left in `out`."""
    torch.set_num_threads(settings.threads)
    events.phase("load")
    tokenizer = load_tokenizer(model)
    arguments = make_arguments(settings, work)
    trainer = make_trainer(settings, task, arguments, load_network(settings, model), tokenizer)
    train(trainer, settings, work, events, round_steps=settings.num_iterations)
    events.phase("save")
    prompts = [encode_prompt(tokenizer, _messages(problem)) for problem in task.problems[:_PROBES]]
    width = min(len(prompt) for prompt in prompts)
    save_model(trainer, model, out, torch.tensor([prompt[:width] for prompt in prompts]))


def make_arguments(settings: GRPOSettings, work: Path) -> GRPOConfig:
    """TRL's arguments; a round is one generation batch, and one optimizer step each iteration."""
    samples = settings.prompts_per_step * settings.group_size // settings.launch.processes
    parts = micro_batches(samples, settings.micro_batch_size)
    return GRPOConfig(
        **common_arguments(settings, work) | {"save_steps": _whole_rounds(settings)},
        **_rollout_arguments(settings),
        per_device_train_batch_size=samples // parts,
        gradient_accumulation_steps=parts,
        steps_per_generation=parts,
        num_generations=settings.group_size,
        num_iterations=settings.num_iterations,
        max_steps=settings.steps * settings.num_iterations,
        max_completion_length=settings.max_new_tokens,
        temperature=settings.temperature,
        loss_type=settings.loss,
        beta=settings.beta,
        epsilon=settings.epsilon,
        epsilon_high=settings.epsilon_high,
        scale_rewards=settings.scale_rewards,
        mask_truncated_completions=settings.mask_truncated,
        shuffle_dataset=False,
    )


def make_trainer(settings: GRPOSettings, task: Task, arguments: GRPOConfig, network: Any, tokenizer: Any) -> Trainer:
    """The trainer, ready to run."""
    plan = plan_rounds(len(task.problems), rounds=settings.steps, prompts=settings.prompts_per_step, seed=settings.seed)
    rows = [
        {"prompt": _messages(task.problems[slot.problem]), "problem": slot.problem, "copy": slot.copy}
        for slots in plan
        for slot in slots
    ]
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Trainer(
        settings,
        task,
        model=network,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )


def reward_of(reward: Reward, outcome: Outcome, truncated: bool) -> float | None:
    """Reward of a response; None, which leaves it out, where it could not be judged for no fault of its own."""
    if outcome in UNJUDGED:
        return None
    if truncated and reward.truncated is not None:
        return reward.truncated
    if outcome is Outcome.CORRECT:
        return reward.correct
    if outcome is Outcome.NO_ANSWER and reward.no_answer is not None:
        return reward.no_answer
    return reward.incorrect


def _rate(outcome: Outcome) -> str:
    """Name of an outcome's share of the responses among the trainer's measures."""
    return f"{VERDICTS}{outcome}"


def _roll_out(prompts: list[Any], trainer: Trainer) -> dict[str, Any]:
    """TRL's hook; the rows of the round carry what `prompts` lacks."""
    asked, responses = trainer.sample()
    return {"prompt_ids": asked, "completion_ids": responses, "logprobs": None}


def _messages(problem: Problem) -> list[dict[str, str]]:
    return [{"role": "user", "content": problem.question}]


def _whole_rounds(settings: GRPOSettings) -> int:
    """Steps between checkpoints: only where a round ends can a run go on with the same bits."""
    return -(-settings.save_every // settings.num_iterations) * settings.num_iterations


def _rollout_arguments(settings: GRPOSettings) -> dict[str, Any]:
    rollouts = settings.rollouts
    if not isinstance(rollouts, VLLMRollouts):
        return {}
    return {
        "use_vllm": True,
        "vllm_mode": rollouts.mode,
        "vllm_server_base_url": rollouts.server_url,
        "vllm_gpu_memory_utilization": rollouts.gpu_memory_utilization,
        "vllm_tensor_parallel_size": rollouts.tensor_parallel_size,
        "vllm_max_model_length": rollouts.max_model_len,
        "vllm_enable_sleep_mode": rollouts.sleep,
    }
