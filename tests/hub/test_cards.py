"""Cards: true numbers, metadata that the Hub and `datasets` take, and the words that licences want."""

import json
import re
import struct

import pytest
import yaml

from astro_factory.core.errors import UserError
from astro_factory.hub.card_statistics import table_statistics
from astro_factory.hub.cards import Labels, check_card, dataset_card, model_card, published_tables
from astro_factory.hub.evaluation_results import EvaluatedSet, Evaluation, Score, eval_results_files
from astro_factory.hub.layout import data_files
from astro_factory.hub.licences import llama_terms
from astro_factory.hub.provenance import Provenance
from tests.hub.artifacts import content_of, make_data, make_provenance


def card_of(labels, folders, provenance):
    return dataset_card(labels, list(folders), published_tables(folders), provenance)


def metadata(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path / "data")


@pytest.fixture
def provenance(tmp_path):
    return Provenance.read(make_provenance(tmp_path / "provenance"))


def test_card_of_data_counts_what_is_there(data, provenance):
    card = card_of(Labels("org/astro-traces", "mit"), data, provenance)
    assert "# astro-traces\n" in card and "`tiny`" in card
    assert "| `traces` (default) | 5 | " in card
    assert "| backtracks | traces |\n|---|---|\n| 0 | 2 |\n| 1 | 2 |\n| 2 | 1 |" in card
    assert "- trees with a correct terminal: 5 of 5 (100.0%)" in card
    assert "- correct terminals: 5 of 10 (50.0%)" in card
    assert "- words in a response: min / 10 % / median / 90 % / max: 11 / 11 / 17 / 23 / 23" in card
    assert "- incorrect terminals: " in card and "- repeated texts: " in card
    assert 'load_dataset("org/astro-traces", "traces", split="train")' in card
    assert "\nastro-factory pull org/astro-traces astro-traces\n" in card
    assert "\nastro-factory build astro-traces/astro/spec.yaml --no-publish\n" in card
    assert "Wait , no . Go back" in card, "the example is a trace that goes back"
    assert re.search(r"\| `trees` \| stages: search \| \[`\w{12}`\]\(astro/records/\w{64}\.json\) \|", card)
    assert "\n\n\n" not in card and "`mit`." in card


def test_metadata_of_data(data, provenance):
    found = metadata(card_of(Labels("org/astro-traces", "mit"), data, provenance))
    assert found["license"] == "mit" and found["size_categories"] == ["n<1K"]
    assert found["configs"][3] == {
        "config_name": "traces",
        "data_files": [{"split": "train", "path": ["data/traces/traces.parquet"]}],
        "default": True,
    }
    assert [config["config_name"] for config in found["configs"]] == list(data)


def test_card_is_taken_by_the_client_and_by_our_own_check(data, provenance):
    from huggingface_hub import DatasetCard

    card = card_of(Labels("org/astro-traces", None), data, provenance)
    assert DatasetCard(card).data.to_dict()["configs"] == metadata(card)["configs"]
    assert "license" not in metadata(card) and "The publisher did not specify one." in card
    check_card(card, data_files(data))


def test_equal_data_has_an_equal_card(tmp_path, data, provenance):
    again = make_data(tmp_path / "again")
    assert card_of(Labels("org/x", "mit"), again, provenance) == card_of(Labels("org/x", "mit"), data, provenance)


def test_card_that_names_a_missing_table(data, provenance, golden):
    card = card_of(Labels("org/x", "mit"), data, provenance)
    files = {path: file for path, file in data_files(data).items() if "traces" not in path}
    with pytest.raises(UserError, match="E718") as caught:
        check_card(card, files)
    golden(str(caught.value))


def test_card_without_tables_or_with_an_unknown_licence(tmp_path, provenance, golden):
    (tmp_path / "empty").mkdir()
    card = card_of(Labels("org/x", "mine"), {"empty": tmp_path / "empty"}, provenance)
    with pytest.raises(UserError, match="E718") as caught:
        check_card(card, {})
    golden(str(caught.value))


def test_text_with_fences_cannot_leave_the_example(data, provenance, tmp_path):
    from astro_factory.core.tables import write_table
    from astro_factory.traces.trace_table import trace_schema
    from tests.hub.artifacts import trace

    row = trace(0, 1)
    row["messages"][1]["content"] = "~~~\n# not a heading {{ not.jinja }}\n~~~~\n" + "x" * 9000
    write_table(data["traces"] / "traces.parquet", [row], trace_schema())
    card = card_of(Labels("org/x", "mit"), data, provenance)
    assert "~~~~~text\n" in card and "{{ not.jinja }}" in card and "[...]" in card and "x" * 3001 not in card


@pytest.mark.parametrize("name", ["problems", "practice", "trees", "traces"])
def test_empty_table(tmp_path, name):
    folder = make_data(tmp_path, count=0)[name]
    statistics = table_statistics(next(folder.glob("*.parquet")))
    assert statistics.rows == 0 and statistics.example is None


def make_weights(folder, shape=(3, 4)):
    """A model folder; only the header of the weights counts."""
    header = {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 48]}}
    text = json.dumps(header).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 48)
    config = {"model_type": "llama", "hidden_size": 4, "num_hidden_layers": 2, "max_position_embeddings": 2048}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_card_of_a_model(tmp_path, provenance):
    card = model_card(Labels("org/tiny-astro", "apache-2.0"), "rl", make_weights(tmp_path / "m"), provenance, None)
    assert "- architecture: llama\n- layers: 2\n- hidden size: 4\n- longest context: 2048\n- parameters: 12\n" in card
    found = metadata(card)
    assert (
        found["library_name"] == "transformers" and found["language"] == ["en"] and "arxiv:2507.00417" in found["tags"]
    )
    assert not {"base_model", "datasets", "model-index"} & found.keys()
    assert "Built with" not in card and "`rl`" in card and "## Evaluation" not in card
    assert "| `rl` | grpo | problems train, steps 3, learning rate 0.0001, reward correct 1.0, incorrect -1.0 |" in card
    assert "## Citation\n" in card and "2507.00417" in card


FIRST_LINES = {
    "toy": ("", "rl", 12, r"\*\*A toy of 0.0 million parameters.\*\* Its training started from random weights"),
    "random": ("", "base", 12, r"\*\*Random weights.\*\* This model of 0.0 million parameters was never trained"),
    "toy of the Hub": (
        "org/tiny",
        "rl",
        12,
        r"\*\*A toy of .*started from \[org/tiny\]\(https://huggingface.co/org/tiny\)",
    ),
    "large": (
        "org/base",
        "rl",
        8 * 10**9,
        r"A model of 8,000.0 million parameters. Its training started from \[org/base\]",
    ),
}


@pytest.mark.parametrize(("base", "name", "count", "line"), FIRST_LINES.values(), ids=FIRST_LINES)
def test_first_line_says_what_is_random_or_a_toy(tmp_path, base, name, count, line):
    provenance = Provenance.read(make_provenance(tmp_path / "p", base))
    folder = make_weights(tmp_path / "m", [count // 4, 4])
    card = model_card(Labels("file:out/x"), name, folder, provenance, None)
    first = card.split("\n# x\n\n")[1].splitlines()[0]
    assert re.match(line, first), first


def test_card_of_a_llama(tmp_path):
    base = "meta-llama/Llama-3.1-8B-Instruct"
    provenance = Provenance.read(make_provenance(tmp_path / "p", base))
    assert provenance.models == (base,) and provenance.stages[0].name == "base"
    terms = llama_terms(provenance.models)
    card = model_card(Labels("org/llama-astro", "llama3.1"), "rl", make_weights(tmp_path / "m"), provenance, terms)
    assert "**Built with Llama.** Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright ©" in card
    found = metadata(card)
    assert found["base_model"] == [base] and found["license"] == "llama3.1"
    assert found["base_model_relation"] == "finetune"
    assert found["license_link"] == "https://www.llama.com/llama3_1/license/"
    assert f"Sources on the Hub: {base}." in card
    assert "convert_hf_to_gguf.py llama-astro --outfile llama-astro.gguf" in card


GSM8K = {"repo": "openai/gsm8k", "config": "main", "split": "test", "revision": "a" * 40, "instruction": 'Say "it".'}


@pytest.fixture
def evaluated(tmp_path):
    """Provenance of a report of two arms: the model, and one from another base."""
    suite = {"problems": [content_of("gsm")], "samples": 4, "temperature": 0.7, "max_tokens": 4000}
    arms = [{"name": name, **content_of(name)} for name in ("rl", "other")]
    engine = {"kind": "vllm", "max_model_len": 8192}
    nodes = [
        ("gsm", "problems", "hub", GSM8K),
        ("other", "models", "hub", {"repo": "meta-llama/Llama-3.1-8B", "revision": "b" * 40}),
        ("report", "stages", "evaluate", {"suite": suite, "arms": arms, "engine": engine}),
    ]
    return Provenance.read(make_provenance(tmp_path / "evaluated", "org/base", nodes))


EVALUATION = Evaluation(
    {
        "gsm": EvaluatedSet(
            1319,
            {
                "rl": {"pass@1[avg-of-4]": Score(0.81236, 0.79, 0.83), "maj@4": Score(0.9, 0.88, 0.92)},
                "other": {"pass@1[avg-of-4]": Score(0.5, 0.48, 0.52), "maj@4": Score(0.6, 0.57, 0.62)},
            },
        )
    },
    samples=4,
    temperature=0.7,
    max_tokens=4000,
    confidence=0.95,
)


def test_card_with_an_evaluation(tmp_path, evaluated):
    folder = make_weights(tmp_path / "m")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    card = model_card(Labels("org/x"), "rl", folder, evaluated, None, EVALUATION, "report")
    assert "4 samples per problem, temperature 0.7, at most 4000 tokens." in card
    table = "| model | pass@1[avg-of-4] | maj@4 |\n|---|---|---|\n| **rl** | 81.2 [79.0, 83.0] | 90.0 [88.0, 92.0] |\n"
    assert table + "| other | 50.0" in card
    assert "vllm serve org/x --max-model-len 2048 --generation-config vllm\n" in card
    assert "temperature=0.7, top_k=0, max_new_tokens=4000)" in card and "chat_template.jinja" in card
    assert 'question = "..." + "\\n\\n" + "Say \\"it\\"."\n' in card
    assert metadata(card)["base_model"] == ["org/base"], "the other arm is no base of this model"
    assert "datasets" not in metadata(card), "it was not trained on the problems that it was evaluated on"


def test_evaluation_results_as_the_client_reads_them(tmp_path, evaluated):
    """`model-index` and `.eval_results` by the client's own readers."""
    from huggingface_hub import ModelCard, parse_eval_result_entries

    card = model_card(Labels("org/x"), "rl", make_weights(tmp_path / "m"), evaluated, None, EVALUATION, "report")
    first, second = ModelCard(card).data.eval_results
    assert (first.dataset_type, first.dataset_config, first.dataset_split) == ("openai/gsm8k", "main", "test")
    assert (first.metric_type, first.metric_value, second.metric_value) == ("pass@1", 81.24, 90.0)

    files = eval_results_files("rl", EVALUATION, {"gsm": "gsm8k", "absent": "x"}, evaluated)
    (entry,) = parse_eval_result_entries(yaml.safe_load(files.pop(".eval_results/gsm.yaml")))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("openai/gsm8k", "gsm8k", 81.24)
    assert entry.dataset_revision == "a" * 40 and entry.notes.startswith("pass@1[avg-of-4] on 1319 problems, 4 samples")
    assert not files


def test_cards_hold_no_date_or_version(data, provenance):
    import astro_factory

    card = card_of(Labels("org/x", "mit"), data, provenance)
    assert astro_factory.__version__ not in card and not re.search(r"\b20\d\d-\d\d", card)
