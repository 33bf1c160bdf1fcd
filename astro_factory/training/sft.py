"""Supervised fine-tuning: TRL's SFTTrainer over batches and masks made here.

The trainer's data set has one row for each micro-batch, the indices of its sequences, in the order of training; so a
step's content never depends on loaders, workers or where a run was resumed.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from astro_factory.core.context import Events
from astro_factory.core.errors import UserError
from astro_factory.training.batches import plan_steps, split_step
from astro_factory.training.corpus import IGNORED, Collator, Corpus, load_corpus
from astro_factory.training.settings import SFTSettings
from astro_factory.training.trainers import RecipeMixin, common_arguments, train
from astro_factory.training.weights import load_network, load_tokenizer, positions, save_model

_PROBES = 4


class Trainer(RecipeMixin, SFTTrainer):
    """TRL's trainer with our optimizer and schedule, and a loss that suits a CPU."""

    def __init__(self, settings: SFTSettings, **kwargs: Any):
        self.settings = settings
        super().__init__(**kwargs)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Mean negative log-likelihood of the learned tokens of the whole step, over all its micro-batches.

        With `loss_weights` it is the weighted mean. On a GPU this is TRL's fused head, which never holds all logits.
        On a CPU, where vocabularies are small and that head takes a quarter of a step, the logits are held.
        """
        weights = inputs.pop("loss_weights", None)
        if inputs["input_ids"].is_cuda and weights is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        found = (fused_losses if inputs["input_ids"].is_cuda else held_losses)(model, inputs, weights)
        loss = found.sum / num_items_in_batch
        counts = torch.stack([found.right, found.learned, inputs["attention_mask"].sum()])
        right, asked, tokens = self.accelerator.reduce(counts, "sum").tolist()
        self._total_train_tokens += tokens
        self._metrics["train"]["mean_token_accuracy"].append(right / max(1, asked))
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        # Data parallelism averages gradients, but the step's mean is over the tokens of all processes.
        return loss * self.accelerator.num_processes

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, torch.Tensor]], device: torch.device) -> Any:
        """What the sum of a step's losses is divided by: the number of learned tokens, or the sum of their weights."""
        if not batch_samples or "loss_weights" not in batch_samples[0]:
            return super()._get_num_items_in_batch(batch_samples, device)
        total = sum(batch["loss_weights"][:, 1:][batch["labels"][:, 1:] != IGNORED].sum() for batch in batch_samples)
        return self.accelerator.reduce(total.to(device), "sum")


class Losses(NamedTuple):
    """What a micro-batch gives; scalars."""

    sum: torch.Tensor
    """Of the learned tokens' negative log-likelihoods, each times its weight where there are weights."""
    right: torch.Tensor
    """Learned tokens that the model finds likeliest."""
    learned: torch.Tensor


def held_losses(model: Any, inputs: dict[str, torch.Tensor], weights: torch.Tensor | None) -> Losses:
    """With the logits of all learned tokens. `weights` has the shape of the ids."""
    labels = inputs["labels"][:, 1:]
    learned = labels != IGNORED
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
    logits = logits[:, :-1][learned].float()
    if weights is None:
        total = cross_entropy(logits, labels[learned], reduction="sum")
    else:
        total = (cross_entropy(logits, labels[learned], reduction="none") * weights[:, 1:][learned]).sum()
    return Losses(total, (logits.detach().argmax(-1) == labels[learned]).sum(), learned.sum())


def fused_losses(model: Any, inputs: dict[str, torch.Tensor], weights: torch.Tensor) -> Losses:
    """By TRL's head, whose log-probabilities are 0 where nothing is learned."""
    outputs = model(**inputs, use_cache=False, fused_lm_head=True)
    return Losses(-(outputs.log_probs * weights[:, 1:]).sum(), outputs.is_top1.sum(), outputs.label_mask.sum())


class _Spent(TrainerCallback):
    """Says how many tokens were trained on; TRL counts those of all processes, from the start of this run."""

    def __init__(self, events: Events):
        self._events, self._told = events, 0

    def on_log(self, args, state, control, logs, **_):
        if state.is_world_process_zero and "num_tokens" in logs:
            tokens = int(logs["num_tokens"])
            self._events.spent(tokens=tokens - self._told)
            self._told = tokens


def train_sft(settings: SFTSettings, model: Path, data: Path, out: Path, work: Path, events: Events) -> None:
    """Fine-tune the model artifact `model` on the dialogues of `data`; the new model artifact is left in `out`."""
    torch.set_num_threads(settings.threads)
    events.phase("load")
    tokenizer = load_tokenizer(model)
    corpus = load_corpus(data, tokenizer, allowed_length(settings, positions(model)))
    rows = micro_batches(settings, corpus)
    arguments = make_arguments(settings, work, len(rows))
    trainer = make_trainer(settings, arguments, load_network(settings, model), tokenizer, corpus, rows)
    lengths = corpus.lengths()
    events.log(
        f"{len(corpus)} dialogues, {sum(lengths)} tokens, the longest {max(lengths)}; "
        f"{corpus.dropped} too long, left out"
    )
    trainer.add_callback(_Spent(events))
    train(trainer, settings, work, events)
    events.phase("save")
    save_model(trainer, model, out, probe(corpus))


def allowed_length(settings: SFTSettings, positions: int) -> int:
    """The longest dialogue that is trained on, in tokens."""
    if settings.max_length and settings.max_length > positions:
        raise UserError.of(
            "E505",
            f"max_length is {settings.max_length}, but the model has {positions} positions",
            f"set max_length to {positions} or less, or leave it out",
        )
    return settings.max_length or positions


def micro_batches(settings: SFTSettings, corpus: Corpus) -> list[list[int]]:
    """Indices of each micro-batch in the order of training: of step 1 for process 1, for process 2, and so on."""
    lengths = corpus.lengths()
    steps = plan_steps(
        lengths,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        batch_tokens=settings.batch_tokens,
        max_steps=settings.max_steps,
        length_window=settings.length_window,
        seed=settings.seed,
    )
    parts = settings.launch.processes * settings.micro_batches
    return [part for step in steps for part in split_step(step, lengths, parts)]


def make_arguments(settings: SFTSettings, work: Path, rows: int) -> SFTConfig:
    """TRL's arguments for that many micro-batches."""
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
    settings: SFTSettings, arguments: SFTConfig, network: Any, tokenizer: Any, corpus: Corpus, rows: list[list[int]]
) -> Trainer:
    """The trainer, ready to run."""
    pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    return Trainer(
        settings,
        model=network,
        args=arguments,
        train_dataset=Dataset.from_dict({"rows": rows}),
        data_collator=Collator(corpus, pad_id, settings.loss),
        processing_class=tokenizer,
    )


def probe(corpus: Corpus) -> torch.Tensor:
    """A few dialogues cut to one length, to compare models on."""
    rows = [corpus.encoded(i).ids for i in range(min(_PROBES, len(corpus)))]
    width = min(len(row) for row in rows)
    return torch.tensor([row[:width] for row in rows])
