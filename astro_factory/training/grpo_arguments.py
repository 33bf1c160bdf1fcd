"""TRL's arguments for reinforcement learning."""

from pathlib import Path

from trl.trainer.grpo_config import GRPOConfig

from astro_factory.training.rollout_schedule import micro_batch_count
from astro_factory.training.sampled_tokens import ROUNDS_RATIO
from astro_factory.training.settings import GRPOSettings
from astro_factory.training.trainers import common_arguments
from astro_factory.training.vllm_rollouts import rollout_arguments


def make_arguments(settings: GRPOSettings, work: Path) -> GRPOConfig:
    """TRL's arguments; a round is one generation batch with one optimizer step for each iteration."""
    samples = settings.prompts_per_step * settings.group_size // settings.launch.processes
    parts = micro_batch_count(samples, settings.micro_batch_size)
    return GRPOConfig(
        **common_arguments(settings, work) | {"save_steps": _whole_rounds(settings)},
        **rollout_arguments(settings),
        per_device_train_batch_size=samples // parts,
        gradient_accumulation_steps=parts,
        steps_per_generation=parts,
        num_generations=settings.group_size,
        num_iterations=settings.num_iterations,
        max_steps=most_rounds(settings) * settings.num_iterations,
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


def most_rounds(settings: GRPOSettings) -> int:
    """Rounds that training has at most: with a number of tokens to match, it may stop earlier."""
    return settings.steps * (ROUNDS_RATIO if settings.match_tokens else 1)


def _whole_rounds(settings: GRPOSettings) -> int:
    """Steps between checkpoints: a run can only resume with the same bits at the end of a round."""
    return -(-settings.save_every // settings.num_iterations) * settings.num_iterations
