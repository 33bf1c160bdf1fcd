import random
from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.errors import UserError
from astro_factory.engines import decoders
from astro_factory.engines.base import Request
from astro_factory.engines.sampler import Sampler
from tests.engines.tiny import WORDS, make_llama, make_tokenizer

torch.set_num_threads(1)
TOKENIZER = make_tokenizer()
LLAMA = make_llama()
SCALED = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
VARIANTS = {
    "plain": {},
    "grouped queries": {"key_value_heads": 1},
    "tied, biased": {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
    "scaled rope": {"rope_parameters": SCALED | {"original_max_position_embeddings": 64}},
    "wide heads": {"head_dim": 64},
}


def some_requests(count: int, seed: int = 0, longest: int = 40, **fixed) -> list[Request]:
    draw = random.Random(seed)
    return [
        Request(
            tuple(draw.randrange(2, len(WORDS)) for _ in range(draw.randint(1, longest))),
            tuple(draw.getrandbits(63) for _ in range(draw.randint(1, 6))),
            **({"max_tokens": draw.randint(1, 30)} | fixed),
        )
        for _ in range(count)
    ]


def general_sampler(monkeypatch, model, **options) -> Sampler:
    monkeypatch.setattr("astro_factory.engines.sampler.decoder_for", decoders.ModelDecoder)
    return Sampler(model, TOKENIZER, **options)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_greedy_tokens_and_logprobs_equal_the_models_own_forward(changes):
    model = make_llama(**changes)
    assert isinstance(decoders.decoder_for(model), decoders.LlamaDecoder)
    requests = some_requests(12, temperature=0.0)
    for request, samples in zip(requests, Sampler(model, TOKENIZER, 16).generate(requests), strict=True):
        sample = samples[0]
        with torch.no_grad():
            logits = model(torch.tensor([[*request.prompt_ids, *sample.ids]])).logits[0]
        logits = logits[len(request.prompt_ids) - 1 : -1]
        assert logits.argmax(-1).tolist() == list(sample.ids)
        expected = logits.log_softmax(-1).gather(1, torch.tensor(sample.ids)[:, None])[:, 0]
        assert torch.allclose(torch.tensor(sample.logprobs), expected, atol=2e-5)
        assert all(other == sample for other in samples)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), batch_size=st.sampled_from([4, 5, 7, 16, 64]), order=st.randoms())
def test_a_sample_has_the_same_bits_in_every_batch_and_order(seed, batch_size, order):
    requests = some_requests(10, seed, stop=("\n",))
    alone = [Sampler(LLAMA, TOKENIZER, 4).generate([request])[0] for request in requests]
    shuffled = list(range(len(requests)))
    order.shuffle(shuffled)
    together = Sampler(LLAMA, TOKENIZER, batch_size).generate([requests[i] for i in shuffled])
    assert together == [alone[i] for i in shuffled]


def test_samples_follow_the_models_distribution():
    prompt = (5, 9, 12)
    [samples] = Sampler(LLAMA, TOKENIZER, 512).generate([Request(prompt, tuple(range(4000)), max_tokens=1)])
    with torch.no_grad():
        expected = LLAMA(torch.tensor([prompt])).logits[0, -1].softmax(-1)
    frequency = torch.tensor([sample.ids[0] for sample in samples]).bincount(minlength=len(WORDS)) / 4000
    assert (frequency - expected).abs().max() < 0.03


def test_any_other_model_gives_the_same_tokens_through_its_public_forward(monkeypatch):
    requests = some_requests(9, stop=("\n",))
    fast = Sampler(LLAMA, TOKENIZER, 8).generate(requests)
    slow = general_sampler(monkeypatch, LLAMA, batch_size=8).generate(requests)
    assert [[s.ids for s in samples] for samples in slow] == [[s.ids for s in samples] for samples in fast]
    for left, right in zip(chain(*slow), chain(*fast), strict=True):
        assert left.logprobs == pytest.approx(right.logprobs, abs=2e-5)


def test_a_model_of_another_family_is_sampled():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(WORDS), n_positions=64, n_embd=32, n_layer=1, n_head=2, eos_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    requests = some_requests(6, longest=20, max_tokens=10, temperature=0.0)
    for request, samples in zip(requests, Sampler(model, TOKENIZER, 4).generate(requests), strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([[*request.prompt_ids, *samples[0].ids]])).logits[0]
        assert logits[len(request.prompt_ids) - 1 : -1].argmax(-1).tolist() == list(samples[0].ids)


def test_weights_changed_between_calls_count():
    model = make_llama(seed=3)
    sampler = Sampler(model, TOKENIZER, 8)
    request = Request((5, 6), (1,), max_tokens=8, temperature=0.0)
    before = sampler.generate([request])
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.neg_()
    assert sampler.generate([request]) != before
    assert sampler.generate([request]) == Sampler(model, TOKENIZER, 8).generate([request])


STOPS = [
    (("\n",), "stop"),
    (("ab",), "stop"),
    (("h", "w49"), "stop"),
    (("\nb", "aa"), "stop"),
    ((), "length"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "usual"), STOPS)
@pytest.mark.parametrize("general", [False, True])
def test_samples_end_where_the_stop_string_first_stands(stop, usual, general, monkeypatch):
    model = make_llama(spread=0.02)
    sampler = general_sampler(monkeypatch, model, batch_size=64) if general else Sampler(model, TOKENIZER, 64)
    [samples] = sampler.generate([Request((5, 6), tuple(range(200)), max_tokens=60, stop=stop)])
    finishes = {sample.finish for sample in samples}
    assert usual in finishes and len(finishes) > 1
    for sample in samples:
        whole = TOKENIZER.decode(sample.ids, skip_special_tokens=True)
        places = [whole.find(s) for s in stop if s in whole]
        assert (sample.finish == "stop") == bool(places)
        assert sample.text == (whole[: min(places)] if places else whole)
        before = TOKENIZER.decode(sample.ids[:-1], skip_special_tokens=True)
        assert not any(s in before for s in stop)
        assert (sample.finish == "eos") == (sample.ids[-1] == 0)
        assert 0 not in sample.ids[:-1]
        assert (sample.finish == "length") == (len(sample.ids) == 60 and not places and sample.ids[-1] != 0)


def test_more_seeds_than_rows_and_requests_without_seeds():
    many = Request((5, 6), tuple(range(50)), max_tokens=5)
    none = Request((5, 6), (), max_tokens=5)
    small = Sampler(LLAMA, TOKENIZER, 8).generate([none, many, none])
    assert [len(samples) for samples in small] == [0, 50, 0]
    assert small == Sampler(LLAMA, TOKENIZER, 64).generate([none, many, none])
    assert Sampler(LLAMA, TOKENIZER, 8).generate([]) == []


def test_the_context_limits_a_sample_and_a_prompt_without_room_is_refused(golden):
    sampler = Sampler(make_llama(spread=0.001), TOKENIZER, 8, max_model_len=20)
    [[sample]] = sampler.generate([Request((5,) * 17, (1,), max_tokens=100)])
    assert len(sample.ids) <= 3
    with pytest.raises(UserError, match="E601") as caught:
        sampler.generate([Request((5,) * 20, (1,), max_tokens=1)])
    golden(str(caught.value))
