"""Shapes of models and machines, from files and descriptions."""

import json

import pytest

from astro_factory.core.devices import Inventory
from astro_factory.core.errors import UserError
from astro_factory.core.machines import Machine, parse_machine, this_machine
from astro_factory.core.model_shapes import known_shape, read_shape, read_shape_file
from astro_factory.core.nvidia import Gpu


@pytest.mark.parametrize(
    ("repo", "parameters"),  # as the model cards and safetensors indices give them
    [
        ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("meta-llama/Llama-3.3-70B-Instruct", 70_553_706_496),
    ],
)
def test_the_shipped_shapes_have_the_right_size(repo, parameters):
    shape = known_shape(repo)
    assert shape and shape.parameters == parameters


def test_the_cache_of_llama_8b():
    shape = known_shape("meta-llama/Llama-3.1-8B-Instruct")
    assert shape and shape.kv_bytes == 131_072  # 128 KiB a token


def test_a_shape_is_that_of_the_model(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=99, tie_word_embeddings=True, max_position_embeddings=64,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path)
    shape = read_shape_file(tmp_path / "config.json")
    assert shape and shape.parameters == model.num_parameters()
    assert (shape.head_dim, shape.keys, shape.context, shape.weight_bytes) == (12, 24, 64, 4)


@pytest.mark.parametrize(
    "config",
    [{}, {"model_type": "mamba"}, {"model_type": "llama"}, {"model_type": "llama", "num_attention_heads": "many"}, []],
)
def test_other_configs_have_no_shape(tmp_path, config):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    assert read_shape_file(file) is None
    assert not isinstance(config, dict) or read_shape(config) is None


@pytest.mark.parametrize(
    ("text", "machine", "tflops"),
    [
        ("8xH100-80GB", Machine(1, 8, "H100", 80.0), 989),
        ("8x8xH100-80GB", Machine(8, 8, "H100", 80.0), 989),
        ("1xH200-141GB", Machine(1, 1, "H200", 141.0), 989),
        ("1x4090-24GB", Machine(1, 1, "4090", 24.0), 165),
        ("2xRTX-PRO-96GB", Machine(1, 2, "RTX-PRO", 96.0), None),
    ],
)
def test_a_described_machine(text, machine, tflops):
    assert parse_machine(text) == machine and machine.tflops == tflops
    assert str(machine) == text


@pytest.mark.parametrize(
    "text", ["", "H100", "8xH100", "0xH100-80GB", "8xH100-80", "8xH100-0GB", "8x-80GB", "x8xA-1GB"]
)
def test_what_describes_no_machine(text):
    with pytest.raises(UserError) as error:
        parse_machine(text)
    assert error.value.diagnostics[0].code == "E183"


def test_this_machine():
    gpus = (Gpu("a", "NVIDIA H100 80GB HBM3", 79.6), Gpu("b", "NVIDIA A100-SXM4-40GB", 40.0))
    found = this_machine(Inventory(gpus))
    assert (found.gpus, found.gpu_gb, found.gb_per_s, found.separate) == (2, 40.0, 2039, False)
    assert found.host_gb > 0.1 and this_machine(Inventory()).gpus == 0
