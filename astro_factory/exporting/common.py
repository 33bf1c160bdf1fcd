"""What the exporters share: batches, schedules, adapters, and the words for common differences."""

import math

from astro_factory.exporting.dialogues import Dialogues
from astro_factory.exporting.translation import Translation
from astro_factory.training.settings import GRPOSettings, TrainingConfig

LINEAR_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""The linear layers of a Llama below its output layer."""
NO_CLIPPING = 1e9
"""A gradient norm that is never reached, for trainers that cannot turn clipping off."""


def divided(total: int, processes: int, parts: int) -> tuple[int, int]:
    """Micro-batch size and number of micro-batches for each process: as many parts as asked, or fewer.

    Their product, times the processes, is `total` or a little more.
    """
    share = math.ceil(total / processes)
    parts = min(parts, share)
    return math.ceil(share / parts), parts


def clipping(settings: TrainingConfig) -> float:
    return settings.max_grad_norm or NO_CLIPPING


def explain_steps(translation: Translation, data: Dialogues, steps: int, batch: int) -> None:
    """Say how a fixed number of dialogues in a step differs from the stage's steps.

    Args:
        steps, batch: what the config has.
    """
    settings = data.settings
    if settings.batch_tokens:
        translation.differs("batch_tokens", f"steps have {batch} dialogues each, as many as the stage's on average")
    elif batch != settings.batch_size:
        translation.differs("batch_size", f"steps have {batch} dialogues, which divide evenly among the processes")
    text = "dialogues are not sorted by length before they are divided into steps"
    translation.differs("length_window", text, when=settings.length_window > 1)
    translation.differs(
        "match_tokens", f"{steps} steps, as many as the stage computes", when=settings.match_tokens is not None
    )


def explain_warm_up(translation: Translation, settings: TrainingConfig) -> None:
    text = "the warm-up starts one step later: the first step has the learning rate 0"
    translation.differs("warmup_steps", text, when=settings.warmup_steps > 0)


def explain_decay(translation: Translation, settings: TrainingConfig) -> None:
    text = "norms and biases decay too"
    translation.differs("weight_decay", text, when=settings.weight_decay > 0)


def explain_rounds(translation: Translation, settings: GRPOSettings) -> None:
    """Settings of reinforcement learning that no other trainer has."""
    text = f"{settings.steps} rounds, however many tokens they sample"
    translation.differs("match_tokens", text, when=settings.match_tokens is not None)
    translation.differs("count_tokens", "sampled tokens are not counted", when=settings.count_tokens)
    translation.differs("alarm", "there are no alarms")
    text = "every problem is asked as often as any other, whatever its pass rate"
    translation.differs("difficulty", text, when=settings.difficulty is not None)
    translation.differs("start_from", "every response begins anew", when=settings.start_from is not None)
    counted = getattr(settings, "template", None) is not None  # a field of the stage's kind
    translation.differs("template", "the training curves do not count backtracks", when=counted)
    translation.done("response_steps")


def explain_on_policy(translation: Translation, settings: GRPOSettings) -> None:
    text = "responses come from the weights that train on them"
    translation.differs("off_policy_steps", text, when=settings.off_policy_steps > 0)


def explain_length_cost(translation: Translation, settings: GRPOSettings) -> None:
    text = "reward functions do not see how many tokens a response has: a correct one earns `correct`"
    translation.differs("reward.length_cost", text, when=settings.reward.length_cost > 0)


def explain_unjudged(translation: Translation) -> None:
    text = "a response that cannot be judged earns `incorrect`; the stage leaves it out of the loss"
    translation.differs("reward", text)


def explain_machine(translation: Translation, settings: TrainingConfig, trainer: str) -> None:
    """Settings of a run that have no meaning elsewhere, or that trainers for GPUs lack."""
    translation.done("data", "model", "problems", "grace_s", "launch.rendezvous_s")
    translation.differs("threads", f"{trainer} trains on GPUs", when=settings.threads > 1)
    translation.differs("launch.device", f"{trainer} trains on GPUs", when=settings.launch.device == "cpu")
    minutes = f"{trainer} saves after steps only"
    translation.differs("save_every_minutes", minutes, when="save_every_minutes" in settings.model_fields_set)
    merged = settings.adapter is not None and settings.save == "merged"
    translation.differs("save", f"{trainer} saves the adapter beside its base", when=merged)
