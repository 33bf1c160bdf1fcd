"""What stages share that sample from a model with engines."""

import json

import pytest

from astro_factory.core.context import StageContext
from astro_factory.core.problems import Problem
from astro_factory.engines.config import ScriptedConfig, TransformersConfig
from astro_factory.stages import sampling_hooks
from astro_factory.stages.generation import Batch, Sampling, conversation_about, sample_all
from astro_factory.stages.sampling_hooks import log_slow_type
from tests.stages.test_practice import Recorded
from tests.stages.test_search import Items
from tests.training.tiny import make_model


@pytest.mark.parametrize(
    ("config", "engine", "supported", "named"),
    [
        ({"dtype": "bfloat16"}, {}, False, "bfloat16"),
        ({"torch_dtype": "float16"}, {}, False, "float16"),
        ({"dtype": "float32"}, {"dtype": "bfloat16"}, False, "bfloat16"),
        ({"dtype": "bfloat16"}, {"dtype": "float32"}, False, None),
        ({"dtype": "float32"}, {}, False, None),
        ({}, {}, False, None),
        ({"dtype": "bfloat16"}, {}, True, None),
    ],
)
def test_a_type_without_instructions_is_logged(tmp_path, monkeypatch, config, engine, supported, named):
    monkeypatch.setattr(sampling_hooks, "cpu_multiplies_bf16", lambda: supported)
    (tmp_path / "config.json").write_text(json.dumps(config))
    events = Recorded()
    log_slow_type(events, TransformersConfig(kind="transformers", device="cpu", **engine), tmp_path)
    assert events.lines == [] if named is None else f"multiply in {named}:" in events.lines[0]


def test_other_engines_choose_for_themselves(tmp_path):
    events = Recorded()
    log_slow_type(events, ScriptedConfig(kind="scripted", responses={"": ["a"]}), tmp_path / "nothing")
    assert not events.lines


def test_a_model_without_a_config_is_left_to_the_engine(tmp_path):
    events = Recorded()
    log_slow_type(events, TransformersConfig(kind="transformers", device="cpu"), tmp_path)
    assert not events.lines


def test_a_stage_logs_it_once_for_each_model(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling_hooks, "cpu_multiplies_bf16", lambda: False)
    engine, events = TransformersConfig(kind="transformers", device="cpu", dtype="bfloat16"), Recorded()
    samplings = [Sampling(make_model(tmp_path / name), name, engine, 1.0, 2) for name in "ab"]
    conversation = conversation_about(Problem("p", "one two", "", "math"), 0, range(1))
    ctx = StageContext("s", {}, {}, tmp_path, tmp_path, Items(tmp_path / "items"), events)
    sample_all(ctx, [Batch(sampling, [conversation]) for sampling in samplings * 2], 1)
    assert len(events.lines) == 2
