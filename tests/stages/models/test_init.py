import pytest
from pydantic import ValidationError

from astro_factory.core.chat import encode_dialogue, encode_prompt, encode_text
from astro_factory.core.config import TemplateSource
from astro_factory.core.context import Events, Items, StageContext
from astro_factory.stages.models import init
from astro_factory.stages.models.init import Architecture, Config, Vocabulary

SHAPE = Architecture(
    hidden_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, rope_theta=500.0
)
TEMPLATE = TemplateSource(entry="a.jinja", sources={"a.jinja": "Wait , {{ facts.result }} No .", "b.jinja": "Restart"})
VOCABULARY = Vocabulary(numbers=20, words=["numbers target", "left"], word_sources=[TEMPLATE])


class NoItems(Items):
    def get(self, key):
        return None

    def put(self, key, value):
        pass


class Quiet(Events):
    def progress(self, done, total, unit="", **figures):
        pass

    def metric(self, step, values):
        pass

    def log(self, text):
        pass


def config(**fields):
    return Config(kind="init", **{"architecture": SHAPE, "vocabulary": VOCABULARY, **fields})


def run(folder, **fields):
    folder.mkdir()
    init.run(StageContext("s", {}, {}, folder, folder, NoItems(), Quiet()), config(**fields))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return run(tmp_path_factory.mktemp("models") / "minimal")


def test_loads_as_any_model_does(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer) == model.get_input_embeddings().num_embeddings
    assert model.config.rope_parameters["rope_theta"] == 500.0
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.model_max_length == model.config.max_position_embeddings == 1024
    weights = model.model.layers[0].mlp.up_proj.weight
    assert 0.035 < weights.std().item() < 0.045


def test_one_id_a_word_through_the_chat_functions(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [
        {"role": "user", "content": "numbers 4 10 target 14"},
        {"role": "assistant", "content": "Wait , 9 No .\nRestart left"},
    ]
    encoded = encode_dialogue(tokenizer, messages)
    prompt = encode_prompt(tokenizer, messages[:1])
    assert tokenizer.convert_ids_to_tokens(prompt) == ["<s>", " numbers", " 4", " 10", " target", " 14", "\n"]
    assert encoded.ids[: len(prompt)] == prompt
    assert sum(encoded.response_mask) == 9  # Wait , 9 No . \n Restart left </s>
    assert encode_text(tokenizer, messages[1]["content"]) == encoded.ids[len(prompt) : -1]


def test_same_bytes_twice_and_other_weights_for_another_seed(folder, tmp_path):
    again, other = run(tmp_path / "again"), run(tmp_path / "other", seed=1)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= set(names)
    differ = {name for name in names if (folder / name).read_bytes() != (other / name).read_bytes()}
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in names)
    assert differ == {"model.safetensors"}
    assert not any(str(tmp_path.parent).encode() in path.read_bytes() for path in again.iterdir())


def test_llama3_format_has_its_roles_in_the_vocabulary(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run(tmp_path / "llama3", chat_template="llama3"))
    prompt = encode_prompt(tokenizer, [{"role": "user", "content": "left 4"}])
    assert tokenizer.convert_ids_to_tokens(prompt) == [
        "<|begin_of_text|>", "<|start_header_id|>", " user", "<|end_header_id|>", "\n", "\n", " left", " 4",
        "<|eot_id|>", "<|start_header_id|>", " assistant", "<|end_header_id|>", "\n", "\n",
    ]  # fmt: skip


WRONG = [
    ({"hidden_size": 100, "num_attention_heads": 3}, "hidden_size has to be a multiple of twice num_attention_heads"),
    ({"num_key_value_heads": 3}, "num_attention_heads has to be a multiple of num_key_value_heads"),
]


@pytest.mark.parametrize(("fields", "text"), WRONG)
def test_impossible_shapes_are_refused(fields, text):
    with pytest.raises(ValidationError, match=text):
        Architecture(**fields)
