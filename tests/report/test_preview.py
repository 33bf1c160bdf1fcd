"""Previews show what training, search and evaluation really use, and do so without weights."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from astro_factory.core.chat import encode_dialogue, encode_prompt
from astro_factory.core.tables import read_table
from astro_factory.report import BuiltSpec
from astro_factory.report.light_tokenizer import LightTokenizer
from astro_factory.report.preview import learned_spans, previews
from tests.report.workspace import built, make_store

LEARNED = "learn_wrong_steps: false"


FORMATS = ("minimal", "llama3", "bytes")
WORDS = ["numbers", "target", "left", "answer", "But", "wait", "are", "we", "correct", "so", "far", "Yes", "No"]


def save_tokenizer(folder: Path, form: str) -> Path:
    """A tokenizer of the package, or a byte-level BPE with the chat format of Llama 3."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer

    chat = CHAT_FORMATS["minimal" if form == "minimal" else "llama3"]
    found = build_tokenizer(WORDS, 40, chat, 256)
    if form == "bytes":
        plain = Tokenizer(models.BPE())
        plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        specials = [chat.bos, chat.eos, chat.pad, *chat.others]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet)
        plain.train_from_iterator(WORDS * 3, trainer)
        template = found.chat_template
        found = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, bos_token=chat.bos, eos_token=chat.eos)
        found.chat_template = template
    found.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tokenizer(tmp_path_factory.mktemp("model"), "minimal")


@pytest.fixture(scope="module")
def spec(tmp_path_factory, model) -> BuiltSpec:
    root = tmp_path_factory.mktemp("preview")
    make_store(root)
    found = built(root)
    for stage in ("blank", "astro_sft", "direct_sft"):  # the store's models have no tokenizer
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(model / file, found.stages[stage].folder / file)
    return found


@pytest.fixture(scope="module")
def tokenizer(model):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


TEXTS = ("numbers 4 10 3 target 17", "", "  two  spaces\n\nlines ", "zurück 回到 é\u202e <s> </s>", "x" * 300)


@pytest.mark.parametrize("form", FORMATS)
def test_light_tokenizer_gives_the_ids_of_transformers(tmp_path, form):
    from transformers import AutoTokenizer

    light = LightTokenizer(save_tokenizer(tmp_path, form))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert light.eos_token_id == tokenizer.eos_token_id
    for text in TEXTS:
        same_ids(light, tokenizer, text)


def same_ids(light, tokenizer, text):
    for messages in (
        [{"role": "user", "content": text}],
        [{"role": "system", "content": "a"}, {"role": "user", "content": text}],
    ):
        assert encode_prompt(light, messages) == encode_prompt(tokenizer, messages)
        dialogue = [*messages, {"role": "assistant", "content": text}]
        assert encode_dialogue(light, dialogue) == encode_dialogue(tokenizer, dialogue)
        assert len(light.pieces(text)) == len(light(text, add_special_tokens=False)["input_ids"])


def test_shown_ids_are_the_trained_ids(spec, tokenizer):
    from astro_factory.training.corpus import load_corpus

    found = {entry.stage: entry for entry in previews(spec)}
    for stage, data in (("astro_sft", "traces"), ("direct_sft", "direct")):
        corpus = load_corpus(spec.stages[data].folder, tokenizer, 10_000)
        assert (found[stage].prompt_ids, found[stage].mask) == tuple(corpus.encoded(0))
        assert len(found[stage].tokens) == len(found[stage].mask)
        assert found[stage].tokens[-1] == "</s>"


def test_shown_prompts_are_those_of_the_stages(spec, tokenizer):
    from astro_factory.core.problems import Problem
    from astro_factory.search.prompts import Prompts
    from astro_factory.stages.generation import conversation_about

    found = {entry.stage: entry for entry in previews(spec)}
    test, train = (
        [Problem.from_row(row) for row in spec.stages[name].table().to_pylist()] for name in ("test", "train")
    )
    asked = conversation_about(test[0], 0, range(1)).messages
    assert found["report"].prompt_ids == encode_prompt(tokenizer, asked)
    policy = spec.graph.nodes["trees"].config.policy
    assert found["trees"].prompt_ids == list(Prompts(tokenizer, policy).root(train[0]))
    assert found["astro_rl"].messages[0]["content"] in {problem.question for problem in train}
    assert found["traces"].messages == read_table(spec.stages["traces"].table_file)[0]["messages"]


def test_wrong_steps_are_not_learned_where_the_spec_says_so(tmp_path, model, tokenizer):
    from astro_factory.training.corpus import load_corpus

    make_store(tmp_path, traces=LEARNED)
    found = built(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(model / file, found.stages["blank"].folder / file)
    shown = next(entry for entry in previews(found) if entry.stage == "astro_sft")
    corpus = load_corpus(found.stages["traces"].folder, tokenizer, 10_000)
    learned = corpus.mask[: corpus.starts[1]] & (corpus.loss_weights[: corpus.starts[1]] > 0)
    assert shown.mask == learned.astype(int).tolist() and 0 in shown.mask[shown.mask.index(1) :]
    assert "".join(text for text, _ in learned_spans(shown.tokens, shown.mask)) == shown.text


def test_nothing_is_built(tmp_path):
    from astro_factory.plan import make_plan
    from astro_factory.report import built_spec
    from astro_factory.spec import compile_spec
    from astro_factory.store import Store
    from tests.report.workspace import SPEC

    (tmp_path / "spec.yaml").write_text(SPEC)
    store = Store(tmp_path / "empty")
    found = previews(built_spec(make_plan(compile_spec(tmp_path / "spec.yaml"), store), store))
    assert [entry.stage for entry in found] == [
        "trees",
        "traces",
        "direct",
        "astro_sft",
        "direct_sft",
        "astro_rl",
        "report",
    ]
    assert all(entry.notes and entry.prompt_ids is None and entry.text for entry in found)


def test_no_heavy_library_is_loaded(spec):
    root = Path(spec.stages["report"].folder).parents[2]
    code = f"""
import json, sys
from pathlib import Path
from tests.report.workspace import built
from astro_factory.report.preview import previews
assert len(previews(built(Path({str(root)!r})))) == 7
print(json.dumps(sorted({{"torch", "transformers", "trl"}} & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
