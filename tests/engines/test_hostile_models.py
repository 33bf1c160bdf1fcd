"""Model folders of strangers: nothing in them runs, whatever their files ask for."""

import json
import pickle

import pytest
import torch

from astro_factory.core.errors import UserError
from astro_factory.core.models import model_source, unsafe_settings
from astro_factory.engines import Request, open_engine
from astro_factory.engines.config import TransformersConfig
from astro_factory.stages.models.local import check_model_folder
from tests.engines.tiny import make_llama, make_tokenizer

KERNEL = "someone/kernel"
REFUSED = [
    {"attn_implementation": KERNEL},
    {"_attn_implementation": f"{KERNEL}@v1:attention"},
    {"_attn_implementation_internal": KERNEL, "attn_implementation": f"paged|{KERNEL}"},
    {"attn_implementation": {"text_config": KERNEL}},
    {"text_config": {"_attn_implementation": KERNEL}},
    {"layers": [{"_experts_implementation": KERNEL}]},
    {"use_kernels": True},
    {"kernel_config": {"RMSNorm": f"{KERNEL}:RMSNorm"}},
]
HONEST = [{"attn_implementation": "sdpa"}, {"_name_or_path": "org/model"}, {"use_kernels": False}, {"note": KERNEL}]
BROKEN = ["[" * 100_000, "{", "", "\udcff", "1" * 5000]


@pytest.fixture
def folder(tmp_path):
    make_tokenizer().save_pretrained(tmp_path)
    make_llama().save_pretrained(tmp_path)
    return tmp_path


def change(folder, name, **fields):
    file = folder / name
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def generate(folder):
    with open_engine(TransformersConfig(kind="transformers"), folder) as engine:
        return engine.generate([Request((5, 6), (1,), 4)])


@pytest.mark.parametrize("fields", REFUSED, ids=str)
def test_kernels_are_refused(fields, folder):
    change(folder, "config.json", **fields)
    with pytest.raises(UserError, match="E432"):
        generate(folder)
    assert any("kernel" in cause for cause, _ in check_model_folder(folder))


@pytest.mark.parametrize("fields", HONEST, ids=str)
def test_other_settings_are_not(fields, folder):
    expected = generate(folder)
    change(folder, "config.json", **fields)
    assert unsafe_settings(folder) == []
    assert generate(folder) == expected


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_config_is_an_error_of_one_line(text, folder):
    (folder / "config.json").write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match="E432"):
        model_source(folder)
    assert check_model_folder(folder)


def test_code_of_a_folder_does_not_run(folder):
    expected = generate(folder)
    (folder / "theirs.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    change(folder, "config.json", auto_map={"AutoConfig": "theirs.Config", "AutoModelForCausalLM": "theirs.Model"})
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["theirs.Tokenizer", None]})
    assert generate(folder) == expected
    change(folder, "config.json", model_type="theirs")
    with pytest.raises(Exception, match="trust_remote_code"):
        generate(folder)
    assert not (folder / "ran").exists()


class Bomb:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_pickles_are_not_loaded(name, folder):
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Bomb(folder / "ran")}, folder / name, pickle_module=pickle)
    with pytest.raises(Exception, match=r"E432|[Hh]eader"):
        generate(folder)
    assert not (folder / "ran").exists()
