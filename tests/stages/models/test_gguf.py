"""A Llama from a GGUF file: equal to the model that the file was made from, or refused with the cause."""

import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.errors import UserError
from astro_factory.stages.models import gguf as kind
from astro_factory.stages.models.gguf_file import QUANTIZATIONS, Damaged, TensorEntry, read_gguf
from astro_factory.stages.models.gguf_llama import Unsupported, llama_config, llama_tensors, rope_parameters
from astro_factory.stages.models.gguf_tokenizer import tokenizer_fault
from tests.stages.models.llama_gguf import TEXTS, make_llama, write_gguf
from tests.training.tiny import contents, context

pytest.importorskip("gguf")
SMOLLM = os.environ.get("ASTRO_SMOLLM_GGUF", "")
"""The file of SmolLM2-135M-Instruct; docs/guide/smollm2.md says where it is."""


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return make_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def file(llama, tmp_path_factory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("file") / "llama.gguf", llama)


def convert(root: Path, path: Path, **fields: str) -> Path:
    inputs = {"m.gguf": path} | {name: Path(name) for name in fields.values() if "/" in name}
    ctx = context(root, inputs)
    kind.run(ctx, config(**fields))
    return ctx.out


def config(**fields: str) -> kind.Config:
    return kind.Config.model_validate({"kind": "gguf", "path": "m.gguf", **fields})


def logits(folder: Path):
    import torch
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return model(torch.arange(3, 43).reshape(2, 20)).logits


def largest_difference(one: Path, other: Path) -> float:
    return (logits(one) - logits(other)).abs().max().item()


def test_the_model_and_its_tokenizer_come_back(llama, file, tmp_path):
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    out = convert(tmp_path, file)
    assert largest_difference(llama, out) < 1e-5
    ours, theirs = AutoConfig.from_pretrained(out), AutoConfig.from_pretrained(llama)
    same = ("vocab_size", "head_dim", "rms_norm_eps", "rope_parameters", "tie_word_embeddings", "eos_token_id")
    assert [getattr(ours, name) for name in same] == [getattr(theirs, name) for name in same]
    assert GenerationConfig.from_pretrained(out).eos_token_id == 2
    tokenizer, wanted = AutoTokenizer.from_pretrained(out), AutoTokenizer.from_pretrained(llama)
    assert tokenizer.special_tokens_map == wanted.special_tokens_map
    messages = [{"role": "user", "content": TEXTS[0]}]
    prompts = [t.apply_chat_template(messages, add_generation_prompt=True) for t in (tokenizer, wanted)]
    assert prompts[0]["input_ids"] == prompts[1]["input_ids"]


@pytest.mark.parametrize("scaled", [False, True], ids=["smollm", "llama3"])
def test_any_text_gets_the_tokens_of_the_original(tmp_path, scaled):
    from transformers import AutoTokenizer

    model = make_llama(tmp_path / "model", scaled=scaled)
    out = convert(tmp_path, write_gguf(tmp_path / "llama.gguf", model))
    tokenizer, wanted = AutoTokenizer.from_pretrained(out), AutoTokenizer.from_pretrained(model)
    parts = st.one_of(st.text(max_size=8), st.sampled_from(["\n\n7", " 12", "<|end|>", "it's", " +", "  ", *TEXTS]))

    @settings(max_examples=100, deadline=None)
    @given(st.lists(parts, max_size=6).map("".join))
    def check(text):
        assert tokenizer(text).input_ids == wanted(text).input_ids
        assert tokenizer.decode(tokenizer(text).input_ids) == text

    check()


def test_llama3_scaling_and_its_own_output_layer_come_back(tmp_path):
    model = make_llama(tmp_path / "model", tied=False, scaled=True)
    out = convert(tmp_path, write_gguf(tmp_path / "llama.gguf", model))
    found, wanted = (json.loads((folder / "config.json").read_text()) for folder in (out, model))
    assert found["rope_parameters"] == wanted["rope_parameters"] and not found["tie_word_embeddings"]
    assert largest_difference(model, out) < 1e-5


def largest_error(one: Path, other: Path) -> float:
    """The largest change of a weight, as a share of the largest weight of its tensor."""
    from safetensors.torch import load_file

    pairs = [load_file(folder / "model.safetensors") for folder in (one, other)]
    assert pairs[0].keys() == pairs[1].keys()
    return max(((pairs[0][name] - pairs[1][name]).abs().max() / pairs[0][name].abs().max()).item() for name in pairs[0])


# half of the last bit, or of the step between the values of a block
@pytest.mark.parametrize(
    ("quantization", "error"), [("F16", 2**-11), ("BF16", 2**-8), ("Q8_0", 1 / 250), ("Q4_1", 1 / 14), ("Q4_0", 1 / 7)]
)
def test_quantized_weights_are_what_they_stand_for(llama, tmp_path, quantization, error):
    out = convert(tmp_path, write_gguf(tmp_path / "llama.gguf", llama, quantization))
    assert error / 10 < largest_error(llama, out) <= error


def test_sizes_of_blocks_are_those_of_ggml():
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for number, (name, weights, size) in QUANTIZATIONS.items():
        assert GGMLQuantizationType(number).name == name
        assert GGML_QUANT_SIZES[GGMLQuantizationType(number)] == (weights, size)


def test_equal_files_give_equal_bytes_in_either_precision_and_in_parts(file, tmp_path, monkeypatch):
    once, again = convert(tmp_path / "once", file), convert(tmp_path / "again", file)
    assert contents(once) == contents(again)
    half = convert(tmp_path / "half", file, precision="bf16")
    assert json.loads((half / "config.json").read_text())["dtype"] == "bfloat16"
    assert 0 < largest_error(once, half) <= 2**-8
    monkeypatch.setattr(kind, "_SHARD_BYTES", 300_000)
    parts = convert(tmp_path / "parts", file)
    assert len(list(parts.glob("*.safetensors"))) > 2 and largest_difference(once, parts) == 0


def test_a_tokenizer_folder_takes_the_place_of_the_files(llama, tmp_path):
    path = write_gguf(tmp_path / "llama.gguf", llama, tokenizer__ggml__pre="other", tokenizer__chat_template=None)
    out = convert(tmp_path, path, tokenizer=str(llama))
    names = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    assert all((out / name).read_bytes() == (llama / name).read_bytes() for name in names)
    assert largest_difference(llama, out) < 1e-5


def test_the_tokenizer_of_another_model_is_refused(file, tmp_path):
    other = make_llama(tmp_path / "other", scaled=True)
    vocabulary = json.loads((other / "tokenizer.json").read_text())
    names = sorted(vocabulary["model"]["vocab"], key=vocabulary["model"]["vocab"].get)
    vocabulary["model"]["vocab"] = {name: index for index, name in enumerate(names[:3] + names[:2:-1])}
    (other / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(UserError, match=r"E438 \d+ of 320 tokens of 'm.gguf' are in .* at their place"):
        convert(tmp_path, file, tokenizer=str(other))


def damage(path: Path, position: int, value: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[position : position + len(value)] = value
    path.write_bytes(data)


def replaced(path: Path, old: bytes, new: bytes) -> None:
    assert len(old) == len(new) and old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))


FILES = {
    "no GGUF file": lambda path: damage(path, 0, b"GGML"),
    "empty": lambda path: path.write_bytes(b""),
    "other version": lambda path: damage(path, 4, struct.pack("<I", 1)),
    "big-endian": lambda path: damage(path, 4, struct.pack(">I", 3)),
    "cut in the header": lambda path: path.write_bytes(path.read_bytes()[:3000]),
    "cut in the weights": lambda path: path.write_bytes(path.read_bytes()[:-1000]),
    "impossible count": lambda path: damage(path, 16, struct.pack("<Q", 1 << 62)),
    "impossible text": lambda path: damage(path, 24, struct.pack("<Q", 1 << 62)),
    "quantization": lambda path: replaced(path, _entry(0), _entry(22)),
    "unknown type": lambda path: replaced(path, b"rope.freq_base\x06", b"rope.freq_base\x2a"),
}


def _entry(quantization: int) -> bytes:
    """How the output norm stands in the tensor table: name, dimensions, type."""
    return b"output_norm.weight" + struct.pack("<IQI", 1, 128, quantization)


@pytest.mark.parametrize("spoil", FILES.values(), ids=FILES)
def test_a_damaged_file_is_refused_when_checked_and_when_run(file, tmp_path, spoil, golden):
    path = tmp_path / "m.gguf"
    path.write_bytes(file.read_bytes())
    spoil(path)
    [found] = kind.check(config(), {"m.gguf": str(path)})
    assert found.code == ("E439" if spoil is FILES["quantization"] else "E437")
    golden(str(found))
    with pytest.raises(UserError, match=found.code):
        convert(tmp_path, path)


def test_every_cut_is_noticed(file, tmp_path):
    whole = file.read_bytes()
    path = tmp_path / "m.gguf"

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, len(whole) - 1))
    def check(size):
        path.write_bytes(whole[:size])
        with pytest.raises(Damaged):
            read_gguf(path)

    check()


MODELS = {
    "architecture": {"general__architecture": "qwen2"},
    "no number": {"llama__block_count": None},
    "experts": {"llama__expert_count": 8},
    "scaled": {"llama__rope__scaling__type": "yarn"},
    "partly rotated": {"llama__rope__dimension_count": 16},
    "fewer layers": {"llama__block_count": 1},
    "more layers": {"llama__block_count": 3},
    "other width": {"llama__feed_forward_length": 512},
    "no tensor": {"drop": "blk.1.ffn_up.weight"},
    "sentencepiece": {"tokenizer__ggml__model": "llama"},
    "no tokenizer": {"tokenizer__ggml__model": None},
    "unknown pattern": {"tokenizer__ggml__pre": "tekken"},
    "no merges": {"tokenizer__ggml__merges": None},
    "wrong merges": {"tokenizer__ggml__merges": ["q q"]},
    "fewer types": {"tokenizer__ggml__token_type": [1, 1]},
    "no chat template": {"tokenizer__chat_template": None},
    "no end of a response": {"tokenizer__ggml__eos_token_id": None},
    "token twice": {"tokenizer__ggml__tokens": ["a", "b", "a"], "tokenizer__ggml__token_type": [1, 1, 1]},
}


@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)
def test_what_is_no_llama_is_refused_when_checked_and_when_run(llama, tmp_path, changes, golden):
    path = write_gguf(tmp_path / "m.gguf", llama, **changes)
    [found] = kind.check(config(), {"m.gguf": str(path)})
    assert found.code == "E438"
    golden(str(found))
    with pytest.raises(UserError, match="E438"):
        convert(tmp_path, path)


SHAPE = (
    "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.key_length", "rope.dimension_count",
)  # fmt: skip
ODD: tuple[object, ...] = ("x", -1, 0, [1, 2], ["a"], True, float("nan"), float("inf"))
REFUSED = {
    **{f"llama.{name}": (*ODD, 1.5, 1 << 40) for name in SHAPE},
    "llama.context_length": (*ODD, 1.5),
    "llama.attention.layer_norm_rms_epsilon": ODD,
    "llama.rope.freq_base": ODD,
    **{f"tokenizer.ggml.{name}_token_id": ("x", -1, 1.5, [1], True, 320) for name in ("bos", "eos", "padding")},
    "tokenizer.ggml.tokens": ([f"t{index}" for index in range(321)],),
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_value_of_the_metadata_is_taken_on_trust(file, name):
    """A file may hold values of any type, and claim any number of layers."""
    whole = read_gguf(file)
    llama_tensors(whole, llama_config(whole))
    for value in REFUSED[name]:
        odd = replace(whole, metadata=whole.metadata | {name: value})
        with pytest.raises(Unsupported):
            llama_tensors(odd, llama_config(odd))


@pytest.mark.parametrize("name", ["model", "pre", "tokens", "merges", "token_type"])
def test_no_value_of_the_tokenizer_is_taken_on_trust(file, name):
    whole = read_gguf(file)
    assert not tokenizer_fault(whole)
    for value in ("x", 1.5, [1.5], [["a"]]):
        assert tokenizer_fault(replace(whole, metadata=whole.metadata | {f"tokenizer.ggml.{name}": value}))


def test_frequencies_of_another_formula_are_refused(tmp_path):
    path = write_gguf(tmp_path / "m.gguf", make_llama(tmp_path / "model", scaled=True), llama__rope__freq_base=1e4)
    with pytest.raises(UserError, match=r"E438 .*not those of Llama 3's scaling"):
        convert(tmp_path, path)


@pytest.mark.parametrize("factors", [[], [0.0] * 16, [float("nan")] * 16, [float("inf")] * 16, [1.0] * 15, [-1.0] * 16])
def test_no_frequencies_are_taken_on_trust(file, tmp_path, factors):
    """Of a file with heads of 32 dimensions, and so 16 frequencies."""
    whole, place = read_gguf(file), tmp_path / "factors"
    place.write_bytes(struct.pack(f"<{len(factors)}f", *factors) or b" ")
    entry = TensorEntry((len(factors),), 0, 0)
    odd = replace(whole, path=place, tensors=whole.tensors | {"rope_freqs.weight": entry})
    with pytest.raises(Unsupported, match="not those of Llama 3's scaling"):
        rope_parameters(odd, llama_config(odd))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(file, tmp_path, value):
    path = tmp_path / "m.gguf"
    path.write_bytes(file.read_bytes())
    damage(path, read_gguf(path).tensors["blk.1.ffn_up.weight"].offset + 400, struct.pack("<f", value))
    with pytest.raises(UserError, match=r"E437 .*'blk\.1\.ffn_up\.weight' has values that are no numbers"):
        convert(tmp_path, path)


@pytest.mark.parametrize("name", ["bos", "eos", "unknown", "padding"])
def test_every_named_token_is_one_of_the_tokenizer(file, name):
    """The embedding may have more rows than there are tokens."""
    whole = read_gguf(file)
    tokens = len(whole.metadata["tokenizer.ggml.tokens"])
    for value in (tokens, -1, "x", 1.5):
        odd = replace(whole, metadata=whole.metadata | {f"tokenizer.ggml.{name}_token_id": value})
        assert f"{name}_token_id" in tokenizer_fault(odd)


def test_a_folder_without_a_tokenizer_is_refused_when_checked(file, tmp_path):
    files = {"m.gguf": str(file), "t": str(tmp_path)}
    assert [found.code for found in kind.check(config(tokenizer="t"), files)] == ["E432"]


@pytest.mark.nightly
@pytest.mark.skipif(not SMOLLM, reason="ASTRO_SMOLLM_GGUF does not name the file of SmolLM2-135M-Instruct")
def test_smollm2_answers(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = convert(tmp_path, Path(SMOLLM))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.num_parameters() == 134_515_008 and len(tokenizer) == 49_152
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt")
    reply = model.generate(**prompt, max_new_tokens=20, do_sample=False)
    assert "Paris" in tokenizer.decode(reply[0])
