"""The base of `prose_tiny.yaml`: its export serves the spec, and its tokenizer has the words of the problems."""

import re

from astro_factory.api import load as load_spec
from astro_factory.core.shipped import shipped_folder
from astro_factory.spec.compose import load
from astro_factory.stages.word_practice import Config, make_document
from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer, words_of

SPECS = shipped_folder("specs")


def test_the_export_holds_the_base(tmp_path):
    rows = load_spec(SPECS / "prose_tiny.yaml", store=tmp_path).plan().rows
    found = {row["stage"] for row in rows if row["status"] == "import"}
    assert found == {"prose_blank", "prose_practice", "base"}
    assert (SPECS / "exports/prose_base.tar").stat().st_size < 20 << 20


def test_only_boxed_and_large_numbers_are_spelled_in_bytes():
    data = load(SPECS / "common/prose_base.yaml").data
    vocabulary, practice = data["models"]["prose_blank"]["vocabulary"], data["stages"]["prose_practice"]
    words = [word for text in vocabulary["words"] for word in words_of(text)] + ["system", "user", "assistant"]
    tokenizer = build_tokenizer(
        words, vocabulary["numbers"], CHAT_FORMATS["llama3"], 1024, commands=vocabulary["commands"]
    )
    config = Config.model_validate({**practice, "system_share": 0.5})
    for index in range(400):
        for message in make_document(config, index)["messages"]:
            text = re.sub(r"\\boxed\{\d+\}|\d{3,}", "", message["content"])  # redoing a wrong answer can exceed 100
            tokens = tokenizer.tokenize(text)
            assert not [token for token in tokens if token.startswith("<0x")], message
