"""Forward passes without an attention mask, and without padding at all, compute what padded ones with a mask do."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from astro_factory.training.corpus import IGNORED
from astro_factory.training.microbatching import token_statistics
from astro_factory.training.sft import losses_from_logits, without_padding
from tests.training.tiny import make_model

LENGTHS = (9, 16, 2)
KINDS = pytest.mark.parametrize("attention", ["eager", "sdpa"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model"))


def load(folder, attention: str):
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention)


def batch() -> dict[str, torch.Tensor]:
    """Rows of several lengths, padded on the right; all tokens are in the loss."""
    torch.manual_seed(0)
    inside = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    ids = torch.randint(6, 40, inside.shape).where(inside, 0)
    return {"input_ids": ids, "labels": ids.where(inside, IGNORED), "attention_mask": inside.long()}


def gradients(model) -> list[torch.Tensor]:
    found = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    return found


@KINDS
def test_without_a_mask_losses_and_gradients_are_those_of_every_row_alone(folder, attention):
    model = load(folder, attention)
    for length, row in zip(LENGTHS, range(3), strict=True):
        alone = {key: value[row : row + 1, :length] for key, value in batch().items()}
        losses_from_logits(model, without_padding(alone, False)).sum.backward()
    alone = gradients(model)
    for flattens in (False, True):
        found = losses_from_logits(model, without_padding(batch(), flattens))
        assert found.tokens == sum(LENGTHS) - len(LENGTHS)
        found.sum.backward()
        for one, other in zip(gradients(model), alone, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_eager_attention_gives_the_same_bits_with_and_without_a_mask(folder):
    """So results on a CPU, where it is the default, do not depend on how padding is left out."""
    model, padded = load(folder, "eager"), batch()
    masked = losses_from_logits(model, padded).sum
    masked.backward()
    with_mask = gradients(model)
    unmasked = losses_from_logits(model, without_padding(padded, False)).sum
    unmasked.backward()
    assert torch.equal(masked, unmasked)
    assert all(torch.equal(one, other) for one, other in zip(with_mask, gradients(model), strict=True))


@KINDS
def test_log_probabilities_of_responses_are_the_same_without_padding(folder, attention):
    model = load(folder, attention)
    mask = torch.tensor([[0, 0, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 0]])
    ids = torch.randint(6, 40, mask.shape).where(mask.bool(), 0)
    rows, flat = (token_statistics(model, ids, mask, 4, 0.9, flattens) for flattens in (False, True))
    for padded, packed in zip(rows, flat, strict=True):
        torch.testing.assert_close(padded, packed, rtol=1e-4, atol=1e-5)
        assert (packed[~mask[:, -4:].bool()] == 0).all() and (packed[mask[:, -4:].bool()] != 0).all()
