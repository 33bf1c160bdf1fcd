"""Cards: true numbers, metadata that the Hub and `datasets` take, and the words that licences want."""

import json
import re
import struct

import pytest
import yaml

from astro_factory.core.errors import UserError
from astro_factory.hub.card_statistics import table_statistics
from astro_factory.hub.cards import check_card, dataset_card, model_card
from astro_factory.hub.layout import data_files
from astro_factory.hub.licences import llama_terms
from astro_factory.hub.provenance import Provenance
from tests.hub.artifacts import make_data, make_provenance


def metadata(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path / "data")


@pytest.fixture
def provenance(tmp_path):
    return Provenance.read(make_provenance(tmp_path / "provenance"))


def test_card_of_data_counts_what_is_there(data, provenance):
    card = dataset_card("org/astro-traces", "mit", data, provenance)
    assert "# astro-traces\n" in card and "`tiny`" in card
    assert "| `traces` | 5 | a chain-of-thought |" in card
    assert "| backtracks | traces |\n|---|---|\n| 0 | 2 |\n| 1 | 2 |\n| 2 | 1 |" in card
    assert "- trees with a correct terminal: 5 of 5 (100.0%)" in card
    assert "- correct terminals: 5 of 10 (50.0%)" in card
    assert "- words in a response: min / 10 % / median / 90 % / max: 11 / 11 / 17 / 23 / 23" in card
    assert "- incorrect terminals: " in card and "- repeated texts: " in card
    assert 'load_dataset("org/astro-traces", "problems", split="train")' in card
    assert "\nastro-factory pull org/astro-traces astro-traces\n" in card
    assert "\nastro-factory build astro-traces/astro/spec.yaml --no-publish\n" in card
    assert "Wait , no . Go back" in card, "the example is a trace that goes back"
    assert re.search(r"\| `trees` \| stages: search \| \[`\w{12}`\]\(astro/records/\w{64}\.json\) \|", card)
    assert "\n\n\n" not in card and "`mit`." in card


def test_metadata_of_data(data, provenance):
    found = metadata(dataset_card("org/astro-traces", "mit", data, provenance))
    assert found["license"] == "mit" and found["size_categories"] == ["n<1K"]
    assert found["configs"][3] == {
        "config_name": "traces",
        "data_files": [{"split": "train", "path": ["data/traces/traces.parquet"]}],
    }
    assert [config["config_name"] for config in found["configs"]] == list(data)


def test_card_is_taken_by_the_client_and_by_our_own_check(data, provenance):
    from huggingface_hub import DatasetCard

    card = dataset_card("org/astro-traces", None, data, provenance)
    assert DatasetCard(card).data.to_dict()["configs"] == metadata(card)["configs"]
    assert "license" not in metadata(card) and "The publisher did not specify one." in card
    check_card(card, data_files(data))


def test_equal_data_has_an_equal_card(tmp_path, data, provenance):
    again = make_data(tmp_path / "again")
    assert dataset_card("org/x", "mit", again, provenance) == dataset_card("org/x", "mit", data, provenance)


def test_card_that_names_a_missing_table(data, provenance, golden):
    card = dataset_card("org/x", "mit", data, provenance)
    files = {path: file for path, file in data_files(data).items() if "traces" not in path}
    with pytest.raises(UserError, match="E718") as caught:
        check_card(card, files)
    golden(str(caught.value))


def test_card_without_tables_or_with_an_unknown_licence(tmp_path, provenance, golden):
    (tmp_path / "empty").mkdir()
    card = dataset_card("org/x", "mine", {"empty": tmp_path / "empty"}, provenance)
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
    card = dataset_card("org/x", "mit", data, provenance)
    assert "~~~~~text\n" in card and "{{ not.jinja }}" in card and "[...]" in card and len(card) < 8000


@pytest.mark.parametrize("name", ["problems", "practice", "trees", "traces"])
def test_empty_table(tmp_path, name):
    folder = make_data(tmp_path, count=0)[name]
    statistics = table_statistics(next(folder.glob("*.parquet")))
    assert statistics.rows == 0 and statistics.example is None


def make_weights(folder):
    header = {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}}
    text = json.dumps(header).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 48)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 4, "num_hidden_layers": 2}))
    return folder


def test_card_of_a_model(tmp_path, provenance):
    card = model_card("org/tiny-astro", "apache-2.0", "astro_rl", make_weights(tmp_path / "m"), provenance, None)
    assert "- architecture: llama\n- layers: 2\n- hidden size: 4\n- parameters: 12\n" in card
    assert metadata(card)["library_name"] == "transformers" and "base_model" not in metadata(card)
    assert "Built with" not in card and "`astro_rl`" in card


def test_card_of_a_llama(tmp_path):
    base = "meta-llama/Llama-3.1-8B-Instruct"
    provenance = Provenance.read(make_provenance(tmp_path / "p", base))
    assert provenance.models == (base,) and provenance.stages[0].name == "base"
    terms = llama_terms(provenance.models)
    card = model_card("org/llama-astro", "llama3.1", "rl", make_weights(tmp_path / "m"), provenance, terms)
    assert "**Built with Llama.** Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright ©" in card
    found = metadata(card)
    assert found["base_model"] == [base] and found["license"] == "llama3.1"
    assert found["license_link"] == "https://www.llama.com/llama3_1/license/"
    assert f"Sources on the Hub: {base}." in card


def test_cards_hold_no_date_or_version(data, provenance):
    import astro_factory

    card = dataset_card("org/x", "mit", data, provenance)
    assert astro_factory.__version__ not in card and not re.search(r"\b20\d\d-\d\d", card)
