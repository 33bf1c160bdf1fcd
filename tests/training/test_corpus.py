import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from astro_factory.core.chat import Encoded, encode_dialogue, encode_dialogues
from astro_factory.core.errors import UserError
from astro_factory.training.corpus import IGNORED, Collator, check_mask, load_corpus
from tests.training.tiny import make_dialogues, make_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(make_model(tmp_path_factory.mktemp("model")))


@pytest.mark.parametrize("name", ["dialogues.parquet", "traces.parquet"])
def test_ids_and_masks_are_those_of_the_one_encoder(tokenizer, tmp_path, name):
    make_dialogues(tmp_path, 30, name=name)
    dialogues = pq.read_table(tmp_path / name).column("messages").to_pylist()
    corpus = load_corpus(tmp_path, tokenizer, 256)
    assert [corpus.encoded(i) for i in range(30)] == [encode_dialogue(tokenizer, d) for d in dialogues]
    assert corpus.lengths() == [len(encode_dialogue(tokenizer, d).ids) for d in dialogues]


def test_many_dialogues_encode_as_one_by_one(tokenizer):
    dialogues = [
        [{"role": "user", "content": "1 , 2"}, {"role": "assistant", "content": "1 + 2 = 3\nanswer ( 1 + 2 )"}],
        [
            {"role": "user", "content": "4"},
            {"role": "assistant", "content": "Yes"},
            {"role": "user", "content": "5"},
            {"role": "assistant", "content": "No"},
        ],
    ]
    assert encode_dialogues(tokenizer, dialogues) == [encode_dialogue(tokenizer, d) for d in dialogues]
    with pytest.raises(ValueError, match="ends with an assistant message"):
        encode_dialogues(tokenizer, [[{"role": "user", "content": "4"}]])


@pytest.mark.parametrize("loss", ["response", "all"])
def test_labels_are_the_response_and_nothing_else(tokenizer, tmp_path, loss):
    corpus = load_corpus(make_dialogues(tmp_path, 5), tokenizer, 256)
    batch = Collator(corpus, pad_id=0, loss=loss)([{"rows": [3, 1]}])
    for row, index in enumerate([3, 1]):
        ids, mask = corpus.encoded(index)
        expected = [i if m or loss == "all" else IGNORED for i, m in zip(ids, mask, strict=True)]
        padding = batch["input_ids"].shape[1] - len(ids)
        assert batch["input_ids"][row].tolist() == ids + [0] * padding
        assert batch["labels"][row].tolist() == expected + [IGNORED] * padding
        assert batch["attention_mask"][row].tolist() == [1] * len(ids) + [0] * padding


def test_a_process_without_a_sequence_learns_nothing(tokenizer, tmp_path):
    corpus = load_corpus(make_dialogues(tmp_path, 2), tokenizer, 256)
    batch = Collator(corpus, pad_id=0, loss="response")([{"rows": []}])
    assert (batch["labels"] == IGNORED).all()
    assert batch["input_ids"].shape == (1, 16)


MESSAGES = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "1 + 2 = 3"}]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda e: Encoded(e.ids, [0] * len(e.ids)), "E502"),
        (lambda e: Encoded(e.ids[:-1], e.response_mask[:-1]), "E502"),
        (lambda e: Encoded(e.ids, [1, *e.response_mask[1:]]), "E502"),
        (lambda e: Encoded(e.ids, [0, 0, *[1] * (len(e.ids) - 2)]), "E503"),
    ],
    ids=["no response", "no terminator", "two responses", "prompt in the response"],
)
def test_a_wrong_mask_is_refused(tokenizer, change, code, golden):
    check_mask(tokenizer, MESSAGES, encode_dialogue(tokenizer, MESSAGES))
    with pytest.raises(UserError) as error:
        check_mask(tokenizer, MESSAGES, change(encode_dialogue(tokenizer, MESSAGES)))
    assert error.value.diagnostics[0].code == code
    golden(str(error.value))


def test_a_tokenizer_that_cannot_write_the_text_is_refused(tokenizer, tmp_path, golden):
    row = {"messages": [MESSAGES[0], {"role": "assistant", "content": "strange words"}]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "dialogues.parquet")
    with pytest.raises(UserError, match=r"E503 .*'strange words'") as error:
        load_corpus(tmp_path, tokenizer, 256)
    golden(str(error.value))


@pytest.mark.parametrize("loss", ["response", "all"])
def test_steps_that_a_trace_gives_up_are_not_learned(tokenizer, tmp_path, loss):
    """All else is as without the marks: the line break after such a step, the next line, the prompt."""
    parts = [("1 + 2 = 3", False), ("Wait No", True), ("4 + 1 = 5", False), ("1 * 2 = 2", True)]
    write_traces(tmp_path, "learned", parts)
    corpus = load_corpus(tmp_path, tokenizer, 256)
    labels = Collator(corpus, pad_id=0, loss=loss)([{"rows": [0]}])["labels"][0]
    learned = tokenizer.decode([label for label in labels.tolist() if label != IGNORED])
    prompt = "[bos] [ask] 1 , 2 [reply] " if loss == "all" else ""
    assert learned == f"{prompt}Wait No 1 * 2 = 2 [eos]"


@pytest.mark.parametrize("loss", ["response", "all"])
def test_each_token_has_the_weight_of_its_segment(tokenizer, tmp_path, loss):
    """The prompt and the end count in full, a token of weight 0 is not learned."""
    write_traces(tmp_path, "weight", [("1 + 2 = 3", 0.25), ("Wait No", 2.0), ("4 + 1 = 5", 0.0), ("1 * 2 = 2", 1.0)])
    batch = Collator(load_corpus(tmp_path, tokenizer, 256), pad_id=0, loss=loss)([{"rows": [0]}])
    ids, labels, weights = (batch[name][0].tolist() for name in ("input_ids", "labels", "loss_weights"))
    words = [tokenizer.decode([i]) for i in ids]
    learned = [(word, weight) for word, label, weight in zip(words, labels, weights, strict=True) if label != IGNORED]
    response = [(w, 0.25) for w in ["1", "+", "2", "=", "3"]] + [("Wait", 2.0), ("No", 2.0)]
    response += [(w, 1.0) for w in ["1", "*", "2", "=", "2", "[eos]"]]
    prompt = [(w, 1.0) for w in ["[bos]", "[ask]", "1", ",", "2", "[reply]"]] if loss == "all" else []
    assert learned == prompt + response
    assert set(weights[len(["[bos]", "[ask]", "1", ",", "2", "[reply]"]) + 21 :]) == {0.0}, "padding counts nothing"


def test_weights_of_nothing_and_of_all_are_but_labels(tokenizer, tmp_path):
    """So the loss is computed as without weights."""
    write_traces(tmp_path / "a", "weight", [("1 + 2 = 3", 0.0), ("1 * 2 = 2", 1.0)])
    write_traces(tmp_path / "b", "learned", [("1 + 2 = 3", False), ("1 * 2 = 2", True)])
    weighed, learned = (
        Collator(load_corpus(tmp_path / name, tokenizer, 256), 0, "response")([{"rows": [0]}]) for name in "ab"
    )
    assert weighed.keys() == learned.keys() == {"input_ids", "labels", "attention_mask"}
    assert all((weighed[name] == learned[name]).all() for name in learned)


def write_traces(folder, mark: str, parts: list[tuple]) -> None:
    """A trace of these lines, each a segment that is marked so."""
    text, segments = "\n".join(part for part, _ in parts), []
    for part, value in parts:
        start = text.index(part)
        segments.append({"start": start, "end": start + len(part), mark: value})
    messages = [{"role": "user", "content": "1 , 2"}, {"role": "assistant", "content": text}]
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist([{"messages": messages, "segments": segments}]), folder / "traces.parquet")
