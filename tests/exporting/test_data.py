"""The data of an export is what the stage trains on: token by token, problem by problem."""

import importlib.util
import json
import sys
from types import ModuleType

import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from astro_factory.core.chat import encode_dialogue
from astro_factory.core.errors import UserError
from astro_factory.exporting.judging import Judge
from tests.exporting.stages import collated, export, make_inputs, problem
from tests.training.test_corpus import write_traces

PARTS = [("1 + 2 = 3", 1.0), ("Wait No", 0.0), ("4 + 1 = 5", 1.0)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def traces(inputs, tmp_path):
    """The same inputs with two traces whose second part has this weight."""

    def make(weight: float):
        folder = tmp_path / "traces"
        parts = [(text, weight if given == 0 else given) for text, given in PARTS]
        write_traces(folder, "weight", parts)
        return inputs | {"lessons": folder}

    return make


def load(folder, name) -> ModuleType:
    """A module of the export, as a trainer imports it."""
    spec = importlib.util.spec_from_file_location(f"{name}_{folder.name}", folder / f"{name}.py")
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("loss", ["response", "all"])
def test_axolotl_trains_on_the_same_ids_and_labels(inputs, tmp_path, loss):
    made = export(tmp_path, inputs, "axolotl", "tuned", [f"stages.tuned.loss={loss}"])
    rows = pq.read_table(made.file("train.parquet")).to_pylist()
    expected = collated(inputs, loss)
    assert made.rows == len(rows) == len(expected) == 40
    for row, own in zip(rows, expected, strict=True):
        assert row["input_ids"] == own["input_ids"]
        assert row["labels"][1:] == own["labels"][1:]
        assert row["attention_mask"] == own["attention_mask"]


@pytest.mark.parametrize("loss", ["response", "all"])
@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_verl_weighs_the_same_ids_equally(traces, tmp_path, loss, weight):
    outputs = traces(weight)
    made = export(tmp_path, outputs, "verl", "tuned", [f"stages.tuned.loss={loss}"])
    dataset = load(made.folder, "verl_dataset").TokenDataset(str(made.file("train.parquet")))
    expected = collated(outputs, loss)
    assert len(dataset) == len(expected)
    for index, own in enumerate(expected):
        item = dataset[index]
        in_loss = [float(label != -100) for label in own["labels"][1:]]
        weights = own.get("loss_weights", [1.0] * len(own["labels"]))[1:]
        assert item["input_ids"].tolist() == own["input_ids"]
        assert item["loss_mask"].tolist() == [0.0, *(a * b for a, b in zip(in_loss, weights, strict=True))]
        assert item["position_ids"].tolist() == list(range(len(own["input_ids"])))
    assert weight in {value for row in dataset.rows["loss_mask"] for value in row}


def test_prime_rl_gets_ids_and_masks_in_the_last_message(traces, tmp_path):
    outputs = traces(0.0)
    made = export(tmp_path, outputs, "prime-rl", "tuned")
    expected = collated(outputs, "response")
    for row, own in zip(pq.read_table(made.file("data/train.parquet")).to_pylist(), expected, strict=True):
        *earlier, last = row["messages"]
        assert [message["role"] for message in earlier] == ["user"]
        assert last["token_ids"] == own["input_ids"]
        assert last["loss_mask"] == [label != -100 for label in own["labels"]]


@pytest.mark.parametrize("trainer", ["axolotl", "prime-rl"])
def test_weights_that_cannot_be_expressed_are_named(traces, tmp_path, trainer):
    named = [d.setting for d in export(tmp_path, traces(0.25), trainer, "tuned").translation.differences]
    assert "loss weights" in named


def test_dialogues_that_are_too_long_are_left_out_everywhere(inputs, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(inputs["blank"])
    every = pq.read_table(inputs["lessons"] / "dialogues.parquet").column("messages").to_pylist()
    lengths = [len(encode_dialogue(tokenizer, messages).ids) for messages in every]
    longest = sorted(lengths)[20]
    made = export(tmp_path, inputs, "verl", "tuned", [f"stages.tuned.max_length={longest}"])
    rows = pq.read_table(made.file("train.parquet")).to_pylist()
    assert [row["messages"] for row in rows] == [
        messages for messages, length in zip(every, lengths, strict=True) if length <= longest
    ]
    assert [len(row["input_ids"]) for row in rows] == [length for length in lengths if length <= longest]


def test_verl_asks_the_problems_and_judges_with_our_verifier(inputs, tmp_path):
    made = export(tmp_path, inputs, "verl", "trained", ["stages.trained.reward={correct: 2, no_answer: -1}"])
    rows = pq.read_table(made.file("train.parquet")).to_pylist()
    assert [row["extra_info"]["id"] for row in rows] == [f"p{n}" for n in range(6)]
    assert rows[0]["prompt"] == [{"role": "user", "content": problem(0).question}]
    score = load(made.folder, "verl_reward").compute_score
    answers = {"4 + 13 = 17\nanswer 4 + ( 10 + 3 )": 2, "answer 4 + 10": 0, "No": -1}
    for text, expected in answers.items():
        assert score("countdown", text, rows[0]["reward_model"]["ground_truth"], rows[0]["extra_info"]) == expected


def test_a_response_that_cannot_be_judged_counts_as_incorrect_for_verl(inputs, tmp_path):
    made = export(tmp_path, inputs, "verl", "trained", ["stages.trained.reward={incorrect: -3}"])
    row = problem(0).as_row() | {"verifier": "math", "answer": "\\frac{"}
    assert Judge.load(made.file("reward.json")).reward(row, "\\boxed{2}") is None
    assert load(made.folder, "verl_reward").compute_score("math", "\\boxed{2}", "", row) == -3


def test_rounds_with_more_prompts_than_problems_repeat_them_for_verl(inputs, tmp_path):
    made = export(tmp_path, inputs, "verl", "trained", ["stages.trained.prompts_per_step=10"])
    assert made.rows == 12 and made.translation.config["trainer"]["total_epochs"] == 3


def test_axolotl_asks_the_problems_and_knows_what_was_cut_off(inputs, tmp_path):
    made = export(tmp_path, inputs, "axolotl", "trained", ["stages.trained.reward={truncated: -5}"])
    rows = pq.read_table(made.file("train.parquet")).to_pylist()
    reward = load(made.folder, "axolotl_reward").reward
    text, end = "4 + 13 = 17\nanswer 4 + ( 10 + 3 )", AutoTokenizer.from_pretrained(inputs["blank"]).eos_token_id
    said = [[{"role": "assistant", "content": text}]] * 3
    found = reward([row["prompt"] for row in rows[:3]], said, [[7, end], [7], []], [row["problem"] for row in rows[:3]])
    assert found == [1.0, -5, -5]


def test_the_tokenizer_of_an_earlier_model_serves(inputs, tmp_path):
    made = export(tmp_path, inputs, "axolotl", "trained")
    assert made.translation.config["base_model"] == "model"
    assert "not built yet" in made.file("README.md").read_text()
    without = {name: folder for name, folder in inputs.items() if name != "blank"}
    with pytest.raises(UserError) as error:
        export(tmp_path, without, "axolotl", "trained")
    assert error.value.diagnostics[0].code == "E152"


def test_the_judge_reads_what_it_wrote(inputs, tmp_path):
    made = export(tmp_path, inputs, "prime-rl", "trained", ["stages.trained.reward={timeout: -2}"])
    found = json.loads(made.file("reward.json").read_text())
    assert found["reward"]["timeout"] == -2 and Judge.load(made.file("reward.json")).settings.timeout == -2
