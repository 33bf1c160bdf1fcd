"""vLLM against our sampler on the same tiny model; runs where vLLM is installed."""

import importlib.util

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed", allow_module_level=True)

from astro_factory.core.errors import UserError
from astro_factory.engines import Request, open_engine
from astro_factory.engines.config import VllmConfig
from astro_factory.engines.sampler import Sampler
from tests.engines.tiny import make_llama, make_tokenizer

CONFIG = VllmConfig(
    kind="vllm", dtype="float32", max_model_len=128, gpu_memory_utilization=0.3, enforce_eager=True, max_num_seqs=64
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_tokenizer().save_pretrained(folder)
    make_llama().save_pretrained(folder)
    with open_engine(CONFIG, folder) as engine:
        yield engine


def test_greedy_samples_are_those_of_our_sampler(engine):
    requests = [Request((5 + i, 6, 7), (1, 2), 12, temperature=0.0, stop=("\n",)) for i in range(8)]
    expected = Sampler(make_llama(), make_tokenizer(), 8).generate(requests)
    for found, known in zip(engine.generate(requests), expected, strict=True):
        for sample, other in zip(found, known, strict=True):
            assert (sample.ids, sample.text, sample.finish) == (other.ids, other.text, other.finish)
            assert sample.logprobs == pytest.approx(other.logprobs, abs=1e-3)


def test_seeds_choose_samples_and_logprobs_are_those_of_temperature_one(engine):
    request = Request((5, 6, 7), tuple(range(30)), 8, temperature=0.7, stop=("\n", "ab"))
    [samples] = engine.generate([request])
    assert engine.generate([request]) == [samples]
    assert len({sample.ids for sample in samples}) > 5
    import torch

    model = make_llama()
    for sample in samples:
        with torch.no_grad():
            logits = model(torch.tensor([[5, 6, 7, *sample.ids]])).logits[0, 2:-1]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(sample.ids)[:, None])[:, 0]
        assert sample.logprobs == pytest.approx(expected.tolist(), abs=1e-3)


def test_a_stream_gives_the_same_samples_as_they_end(engine):
    requests = [Request((5 + i, 6, 7), (1, 2), 4 + 30 * (i == 0), temperature=0.0) for i in range(3)]
    stream, taken = engine.stream(), []
    for number, request in enumerate(requests):
        stream.add(number, request)
    while done := stream.take():
        taken += done
    assert dict(taken) == dict(enumerate(engine.generate(requests)))
    assert [ticket for ticket, _ in taken][-1] == max(range(3), key=lambda n: max(len(s.ids) for s in dict(taken)[n]))


def test_a_prompt_without_room_is_refused(engine):
    with pytest.raises(UserError, match="E601 a prompt of 128 tokens"):
        engine.generate([Request((5,) * 128, (1,), 1)])
    assert engine.max_model_len == 128
