"""The loss of fine-tuning with weights: the weighted mean over a step, whichever head computes it."""

import pytest
import torch

from astro_factory.training.corpus import IGNORED, load_corpus
from astro_factory.training.settings import SFTSettings
from astro_factory.training.sft import (
    losses_from_fused_head,
    losses_from_logits,
    make_arguments,
    make_trainer,
    without_padding,
)
from astro_factory.training.weights import load_model, load_tokenizer
from tests.training.test_corpus import write_traces
from tests.training.tiny import make_model

PARTS = [("1 + 2 = 3", 0.25), ("Wait No", 2.0), ("4 + 1 = 5", 0.0), ("1 * 2 = 2", 1.0)]


@pytest.fixture
def trainer(tmp_path):
    """Of two micro-batches a step, with the same trace in both."""
    base = make_model(tmp_path / "base")
    write_traces(tmp_path / "data", "weight", PARTS)
    settings = SFTSettings(model="m", data="d", learning_rate=1e-3, micro_batches=2)
    corpus = load_corpus(tmp_path / "data", tokenizer := load_tokenizer(base), 256)
    rows = [[0], [0, 0]]
    return make_trainer(
        settings, make_arguments(settings, tmp_path, 2), load_model(settings, base), tokenizer, corpus, rows
    )


def batches(trainer) -> list[dict]:
    return [trainer.data_collator([{"rows": rows}]) for rows in trainer.train_dataset["rows"]]


def gradients(trainer) -> dict[str, torch.Tensor]:
    return {name: weight.grad.clone() for name, weight in trainer.model.named_parameters()}


def by_hand(trainer) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The weighted mean of the whole step and its gradient, token by token."""
    trainer.model.zero_grad()
    total, weight = 0.0, 0.0
    for batch in batches(trainer):
        chances = trainer.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        chances = chances.float().log_softmax(-1)
        for row, place in (batch["labels"] != IGNORED).nonzero().tolist():
            w = batch["loss_weights"][row, place].item()
            total = total - w * chances[row, place - 1, batch["labels"][row, place]]
            weight += w
    mean = total / weight
    mean.backward()
    return mean.detach(), gradients(trainer)


def test_micro_batches_add_up_to_the_weighted_mean_of_the_step(trainer):
    trainer.model.train()
    expected, slopes = by_hand(trainer)
    trainer.model.zero_grad()
    items = trainer._get_num_items_in_batch(batches(trainer), torch.device("cpu"))
    assert items == pytest.approx(3 * (0.25 * 5 + 2 * 2 + 6))
    losses = [trainer.compute_loss(trainer.model, batch, num_items_in_batch=items) for batch in batches(trainer)]
    sum(losses).backward()
    assert sum(losses).item() == pytest.approx(expected.item(), rel=1e-5)
    for name, slope in gradients(trainer).items():
        torch.testing.assert_close(slope, slopes[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("flattens", [False, True])
def test_both_heads_give_the_same(trainer, flattens):
    found = []
    for head in (losses_from_logits, losses_from_fused_head):
        trainer.model.zero_grad()
        losses = head(trainer.model, without_padding(batches(trainer)[1], flattens))
        losses.sum.backward()
        found.append((losses, gradients(trainer)))
    (held, slopes), (fused, others) = found
    assert held.sum.item() == pytest.approx(fused.sum.item(), rel=1e-5)
    assert (held.correct, held.tokens) == (fused.correct, fused.tokens)
    for name, slope in slopes.items():
        torch.testing.assert_close(slope, others[name], rtol=1e-3, atol=1e-6)


def test_without_weights_nothing_is_weighed(trainer):
    """Weights of 1 give the sum that is computed without them."""
    batch = without_padding(batches(trainer)[1], False)
    ones = losses_from_logits(trainer.model, batch | {"loss_weights": torch.ones(batch["input_ids"].shape)})
    del batch["loss_weights"]
    plain = losses_from_logits(trainer.model, batch)
    assert plain.sum.item() == pytest.approx(ones.sum.item(), rel=1e-6)
