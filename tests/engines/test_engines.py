"""The engines that need no other package, on a tiny model's real folder."""

import importlib
import math
import sys

import pytest
import torch
from pydantic import TypeAdapter

from astro_factory.core.errors import UserError
from astro_factory.engines import Engine, Request, open_engine
from astro_factory.engines.config import EngineConfig
from astro_factory.engines.sampler import Sampler
from tests.engines.tiny import make_llama, make_tokenizer


def engine_config(**fields):
    return TypeAdapter(EngineConfig).validate_python(fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_tokenizer().save_pretrained(folder)
    make_llama().save_pretrained(folder)
    return folder


class OwnEngine(Engine):
    def __init__(self, options, folder):
        self.options, self.folder = options, folder

    def generate(self, requests):
        return []


def test_transformers_engine_samples_as_the_sampler_does(folder):
    requests = [Request((5, 6, 7), (1, 2, 3), max_tokens=12, stop=("\n",)), Request((9,), (4,), max_tokens=3)]
    torch.set_num_threads(1)
    expected = Sampler(make_llama(), make_tokenizer(), 8).generate(requests)
    with open_engine(engine_config(kind="transformers", device="cpu", batch_size=4), folder) as engine:
        assert engine.generate(requests) == expected
        assert engine.max_model_len == 256
    with open_engine(engine_config(kind="transformers", device="cpu", max_model_len=5), folder) as engine:
        assert [len(sample.ids) for sample in engine.generate(requests)[0]] == [2, 2, 2]


def test_transformers_engine_takes_a_type(folder):
    with open_engine(engine_config(kind="transformers", device="cpu", dtype="bfloat16"), folder) as engine:
        [[sample]] = engine.generate([Request((5, 6, 7), (1,), max_tokens=4)])
        assert len(sample.ids) == len(sample.logprobs) > 0


def scripted(folder, **responses):
    return open_engine(engine_config(kind="scripted", responses=responses.pop("responses", responses)), folder)


def test_scripted_engine_answers_by_the_end_of_the_prompt(folder):
    responses = {"": ["h"], "b": ["c d e"], "ab": ["f", "g"]}
    with scripted(folder, responses=responses) as engine:
        encode = engine.tokenizer.convert_tokens_to_ids
        requests = [
            Request(tuple(encode(prompt)), tuple(range(40)), 8) for prompt in (["h"], ["c", "b"], ["a", "b"], ["a"])
        ]
        first, second, third, fourth = engine.generate(requests)
        assert {sample.text for sample in first} == {"h"} == {sample.text for sample in fourth}
        assert {sample.text for sample in second} == {"cde"}
        assert {sample.text for sample in third} == {"f", "g"}
        assert [sum(sample.logprobs) for sample in third] == [pytest.approx(math.log(0.5))] * 40
        assert second[0].ids == (*encode(["c", "d", "e"]), 0) and second[0].finish == "eos"
        assert engine.generate(requests) == [first, second, third, fourth]


def test_scripted_engine_ends_as_a_model_would(folder):
    with scripted(folder, responses={"": ["a b c d"]}) as engine:
        encode = engine.tokenizer.convert_tokens_to_ids
        [[sample]] = engine.generate([Request((5,), (1,), 8, stop=("c",))])
        assert (sample.text, sample.ids, sample.finish) == ("ab", tuple(encode(["a", "b", "c"])), "stop")
        [[sample]] = engine.generate([Request((5,), (1,), 2)])
        assert (sample.text, sample.finish) == ("ab", "length")


def test_an_engine_of_ones_own(folder):
    target = f"{__name__}:OwnEngine"
    sys.modules.setdefault(__name__, importlib.import_module(__name__))
    engine = open_engine(engine_config(kind="python", target=target, options={"x": 1}), folder)
    assert (engine.options, engine.folder) == ({"x": 1}, folder)


MISTAKES = [
    ("E602", {"kind": "vllm"}),
    ("E605", {"kind": "python", "target": "no.such:Engine"}),
    (
        "E606",
        {"kind": "openai", "base_urls": ["http://x/v1"], "model": "m", "max_model_len": 9, "api_key_env": "NO_KEY"},
    ),
]


@pytest.mark.parametrize(("code", "fields"), MISTAKES, ids=[code for code, _ in MISTAKES])
def test_mistakes_are_named(code, fields, folder, monkeypatch, golden):
    monkeypatch.setitem(sys.modules, "vllm", None)
    sys.modules.pop("astro_factory.engines.vllm_engine", None)
    with pytest.raises(UserError, match=code) as caught:
        open_engine(engine_config(**fields), folder)
    golden(str(caught.value))


def test_a_prompt_the_script_does_not_know_is_named(folder, golden):
    with scripted(folder, responses={"a": ["b"]}) as engine, pytest.raises(UserError, match="E608") as caught:
        engine.generate([Request((5,), (1,), 8)])
    golden(str(caught.value))
