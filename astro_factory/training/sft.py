"""Supervised fine-tuning: TRL's SFTTrainer with our own batches and masks.

The trainer's data set has one row for each micro-batch, with the indices of its sequences, in training order. So a
step's content does not depend on data loaders, workers or where a run was resumed.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import (
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from astro_factory.core.context import Events
from astro_factory.core.errors import UserError
from astro_factory.training.adapters import Trained, keep_single_precision, require_libraries
from astro_factory.training.batches import split_step, steps_of
from astro_factory.training.corpus import IGNORED, Collator, Corpus, load_corpus
from astro_factory.training.microbatching import flatten_rows
from astro_factory.training.saving import save_model
from astro_factory.training.settings import SFTSettings
from astro_factory.training.trainers import RecipeMixin, common_arguments, train
from astro_factory.training.weights import load_model, load_tokenizer, max_positions


class Trainer(RecipeMixin[SFTSettings], SFTTrainer):
    """TRL's trainer with our optimizer and schedule, and a loss that is fast on a CPU."""

    def __init__(self, settings: SFTSettings, **kwargs: Any):
        self.settings = settings
        super().__init__(**kwargs)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Mean negative log-likelihood of the tokens in the loss, over all micro-batches of the step.

        With `loss_weights` it is the weighted mean. On a GPU TRL's fused head computes it without storing all logits.
        On a CPU, where vocabularies are small and that head takes a quarter of a step, the logits are stored.
        """
        losses = losses_from_fused_head if inputs["input_ids"].is_cuda else losses_from_logits
        tokens = inputs["attention_mask"].sum()
        found = losses(model, without_padding(inputs, self.settings.flattens))
        assert num_items_in_batch is not None
        loss = found.sum / num_items_in_batch
        counts = torch.stack([found.correct, found.tokens, tokens])
        counts = self.accelerator.reduce(counts, "sum")
        assert isinstance(counts, Tensor)
        correct, in_loss, tokens = counts.tolist()
        self._total_train_tokens += tokens
        self._metrics["train"]["mean_token_accuracy"].append(correct / max(1, in_loss))
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        # Data parallelism averages gradients over processes, but the loss is a mean over the tokens of all of them.
        return loss * self.accelerator.num_processes

    def _get_num_items_in_batch(
        self, batch_samples: list[dict[str, Tensor]], device: torch.device
    ) -> Tensor | int | None:
        """Divisor of the summed losses of a step: the number of tokens in the loss, or the sum of their weights."""
        if not batch_samples or "loss_weights" not in batch_samples[0]:
            return super()._get_num_items_in_batch(batch_samples, device)
        sums = [batch["loss_weights"][:, 1:][batch["labels"][:, 1:] != IGNORED].sum() for batch in batch_samples]
        total = self.accelerator.reduce(sum(sums, start=torch.zeros(())).to(device), "sum")
        assert isinstance(total, Tensor)
        return total


class Losses(NamedTuple):
    """Sums over a micro-batch; scalars."""

    sum: Tensor
    """Negative log-likelihood of the tokens in the loss, weighted if there are weights."""
    correct: Tensor
    """Tokens in the loss that are the model's most likely ones."""
    tokens: Tensor
    """Tokens in the loss."""


def without_padding(inputs: dict[str, Tensor], flattens: bool) -> dict[str, Tensor]:
    """A batch without its attention mask: causal attention does not see the padding on the right.

    With `flattens` (see `settings.TrainingConfig.flattens`) it has one row, with positions and without padding.
    """
    inputs = dict(inputs)
    inside = inputs.pop("attention_mask").bool()
    if not flattens:
        return inputs
    # no token is predicted from the last one of another sequence
    inputs["labels"] = torch.cat([torch.full_like(inputs["labels"][:, :1], IGNORED), inputs["labels"][:, 1:]], 1)
    positions, *values = flatten_rows(inside, *inputs.values())
    return dict(zip(inputs, values, strict=True)) | {"position_ids": positions}


def losses_from_logits(model: nn.Module, inputs: dict[str, Tensor]) -> Losses:
    """Losses from the logits of all tokens in the loss. `loss_weights` have the shape of the ids."""
    inputs = dict(inputs)
    weights, labels = inputs.pop("loss_weights", None), inputs.pop("labels")[:, 1:]
    in_loss = labels != IGNORED
    logits = model(**inputs, use_cache=False).logits
    logits = logits[:, :-1][in_loss].float()
    if weights is None:
        total = cross_entropy(logits, labels[in_loss], reduction="sum")
    else:
        total = (cross_entropy(logits, labels[in_loss], reduction="none") * weights[:, 1:][in_loss]).sum()
    return Losses(total, (logits.detach().argmax(-1) == labels[in_loss]).sum(), in_loss.sum())


def losses_from_fused_head(model: nn.Module, inputs: dict[str, Tensor]) -> Losses:
    """Losses from TRL's fused head, whose log-probabilities are 0 for tokens outside the loss."""
    inputs = dict(inputs)
    weights = inputs.pop("loss_weights", None)
    outputs = model(**inputs, use_cache=False, fused_lm_head=True)
    log_probs = outputs.log_probs if weights is None else outputs.log_probs * weights[:, 1:]
    return Losses(-log_probs.sum(), outputs.is_top1.sum(), outputs.label_mask.sum())


class _ReportTokens(TrainerCallback):
    """Reports the tokens trained on; TRL counts those of all processes since the start of this run."""

    def __init__(self, events: Events):
        self._events, self._reported = events, 0

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero and "num_tokens" in kwargs["logs"]:
            tokens = int(kwargs["logs"]["num_tokens"])
            self._events.spent(tokens=tokens - self._reported)
            self._reported = tokens


def train_sft(
    settings: SFTSettings, model: Path, data: Path, out: Path, work: Path, events: Events, matched: Path | None = None
) -> None:
    """Fine-tune the model artifact `model` on the dialogues of `data` and write the new model artifact to `out`.

    `matched` is the artifact that `match_tokens` names.
    """
    require_libraries(settings)
    torch.set_num_threads(settings.threads)
    events.phase("load")
    tokenizer = load_tokenizer(model)
    allowed = allowed_length(settings, max_positions(model))
    corpus = load_corpus(data, tokenizer, allowed)
    target = None
    if matched:
        target = settings.epochs * sum(load_corpus(matched, tokenizer, allowed).lengths())
    rows = plan_micro_batches(settings, corpus, target)
    arguments = make_arguments(settings, work, len(rows))
    trainer = make_trainer(settings, arguments, load_model(settings, model), tokenizer, corpus, rows)
    lengths = corpus.lengths()
    events.log(
        f"{len(corpus)} dialogues, {sum(lengths)} tokens, the longest {max(lengths)}; "
        f"{corpus.dropped} left out because they are too long"
    )
    if target:
        trained = sum(lengths[i] for row in rows for i in row)
        events.log(f"trains on {trained} tokens to match {target} of '{settings.match_tokens}'")
    trainer.add_callback(_ReportTokens(events))
    train(trainer, settings, work, events)
    events.phase("save")
    save_model(trainer, settings, model, out, events)


def allowed_length(settings: SFTSettings, positions: int) -> int:
    """The longest dialogue to train on, in tokens. Raises `UserError` E505 if the model has fewer positions."""
    if settings.max_length and settings.max_length > positions:
        raise UserError.of(
            "E505",
            f"max_length is {settings.max_length}, but the model has {positions} positions",
            f"set max_length to {positions} or less, or leave it out",
        )
    return settings.max_length or positions


def plan_micro_batches(settings: SFTSettings, corpus: Corpus, tokens: int | None = None) -> list[list[int]]:
    """Sequence indices of each micro-batch in training order: step 1 for process 1, for process 2, and so on.

    With `tokens` there are as many steps as have nearly that many tokens.
    """
    lengths = corpus.lengths()
    parts = settings.launch.processes * settings.micro_batches
    return [part for step in steps_of(settings, lengths, tokens) for part in split_step(step, lengths, parts)]


def make_arguments(settings: SFTSettings, work: Path, rows: int) -> SFTConfig:
    """TRL's arguments for `rows` micro-batches."""
    return SFTConfig(
        **common_arguments(settings, work),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=settings.micro_batches,
        max_steps=rows // (settings.launch.processes * settings.micro_batches),
        train_sampling_strategy="sequential",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def make_trainer(
    settings: SFTSettings,
    arguments: SFTConfig,
    model: Trained,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    rows: list[list[int]],
) -> Trainer:
    """The trainer, ready to run."""
    pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    assert isinstance(pad_id, int)
    trainer = Trainer(
        settings,
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"rows": rows}),
        data_collator=Collator(corpus, pad_id, settings.loss),
        processing_class=tokenizer,
    )
    keep_single_precision(model)
    return trainer
