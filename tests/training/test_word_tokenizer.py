import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_factory.training.word_tokenizer import (
    CHAT_FORMATS,
    build_tokenizer,
    vocabulary_of,
    words_of,
    words_of_template,
)

WORDS = ["numbers", "target", "left", "answer", "Wait", "don't"]
TOKENIZER = build_tokenizer(WORDS, 40, CHAT_FORMATS["minimal"], 256)
SPECIALS = ("<s>", "</s>", "<pad>")

# Free text, and text made of what the vocabulary holds, so that both ways through the tokenizer are taken.
free = st.text()
known = st.lists(st.sampled_from([*WORDS, "17", "41", " ", "  ", "\n", ",", "+", "(", "\u2581", "<0x41>", "'"])).map(
    "".join
)
texts = st.one_of(free, known).filter(lambda text: not any(special in text for special in SPECIALS))


def encode(text):
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


@given(texts)
def test_nothing_is_lost(text):
    assert TOKENIZER.decode(encode(text)) == text
    assert TOKENIZER.decode(encode(text), skip_special_tokens=True) == text


@given(texts, texts)
def test_lines_encode_one_by_one(first, second):
    whole = encode(f"{first}\n{second}")
    assert encode(f"{first}\n") + encode(second) == whole
    assert encode(first) + encode("\n") + encode(second) == whole


@given(st.lists(st.integers(0, 400)))
def test_any_ids_decode(ids):
    assert isinstance(TOKENIZER.decode(ids), str)


CASES = [
    ("numbers 4 10", [" numbers", " 4", " 10"]),
    ("4 left\nleft 4", [" 4", " left", "\n", " left", " 4"]),
    ("Wait, 4+4", [" Wait", ",", " 4", "+", "<0x34>"]),
    ("Wait , don't", [" Wait", " ,", " don't"]),
    ("\n\n", ["\n", "\n"]),
    ("41 \u00e9", [" ", "<0x34>", "<0x31>", " ", "<0xC3>", "<0xA9>"]),
    ("left  left", [" left", " ", " left"]),
    ("", []),
]


@pytest.mark.parametrize(("text", "tokens"), CASES)
def test_tokens(text, tokens):
    assert TOKENIZER.convert_ids_to_tokens(encode(text)) == tokens


def test_vocabulary_has_no_gaps_and_does_not_depend_on_the_order_of_words():
    vocabulary = vocabulary_of(WORDS, 40, SPECIALS)
    assert list(vocabulary.values()) == list(range(len(vocabulary)))
    assert vocabulary == vocabulary_of(reversed(WORDS), 40, SPECIALS)
    assert len(TOKENIZER) == len(vocabulary)
    assert [TOKENIZER.bos_token_id, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id] == [0, 1, 2]


def test_words_of_a_template_are_its_literal_text_and_strings():
    source = (
        '{# a comment #}{% if kind == "jump" %}Wait , {{ facts.result }} No .\n'
        '{% else %}{{ "Go back" }}{% endif %}don\'t {{ node | replace("x", "why") }}'
    )
    assert sorted(set(words_of_template(source))) == sorted(
        ["jump", "Wait", ",", "No", ".", "Go", "back", "don't", "x", "why"]
    )
    assert words_of("It's 10, y_z") == ["It's", "10", ",", "y", "_", "z"]


MESSAGES = [{"role": "user", "content": "numbers 4"}, {"role": "assistant", "content": "left 4"}]
CHATS = {
    "minimal": ("<s>numbers 4\n", "left 4</s>"),
    "llama3": (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nnumbers 4<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "left 4<|eot_id|>",
    ),
}


@pytest.mark.parametrize("name", CHATS)
def test_chat_formats(name):
    tokenizer = build_tokenizer(WORDS, 40, CHAT_FORMATS[name], 256)
    prompt, response = CHATS[name]
    asked = tokenizer.apply_chat_template(MESSAGES[:1], tokenize=False, add_generation_prompt=True)
    assert asked == prompt
    assert tokenizer.apply_chat_template(MESSAGES, tokenize=False) == prompt + response
    assert len({tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token}) == 3
    assert response.endswith(tokenizer.eos_token)


def test_a_latex_command_is_one_token_after_its_backslash():
    tokenizer = build_tokenizer(WORDS, 40, CHAT_FORMATS["minimal"], 256, ["boxed"])
    text = "answer \\boxed{17} boxed"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert tokens[:5] == [" answer", " \\", "boxed", "{", "<0x31>"]
    assert tokens[-6:] == [" ", *(f"<0x{ord(letter):02X}>" for letter in "boxed")]
    assert tokenizer.decode(ids) == text
