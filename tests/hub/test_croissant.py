"""`croissant.json` has what the specification requires, and its own library reads it."""

import json

import pytest

from astro_factory.hub.cards import Labels, published_tables
from astro_factory.hub.croissant import croissant
from astro_factory.hub.provenance import Provenance
from tests.hub.artifacts import make_data, make_provenance

REQUIRED = {
    "": {"@context", "@type", "conformsTo", "name", "description", "url", "creator", "license"},
    "distribution": {"@type", "@id", "name", "contentUrl", "encodingFormat", "sha256"},
    "recordSet": {"@type", "@id", "name", "field"},
}
RAI = {"dataCollection", "dataBiases", "dataLimitations", "dataUseCases", "personalSensitiveInformation"}


@pytest.fixture
def described(tmp_path):
    """`croissant.json` beside the tables that it describes, as in a publication."""
    folders = make_data(tmp_path / "data")
    provenance = Provenance.read(make_provenance(tmp_path / "provenance"))
    text = croissant(Labels("file:out/traces", "mit"), published_tables(folders), provenance)
    assert text == croissant(Labels("file:out/traces", "mit"), published_tables(folders), provenance)
    (tmp_path / "croissant.json").write_text(text)
    return tmp_path / "croissant.json"


def test_it_has_the_required_properties(described):
    found = json.loads(described.read_text())
    assert found.keys() >= REQUIRED[""] and {f"rai:{name}" for name in RAI} <= found.keys()
    for part in ("distribution", "recordSet"):
        assert [entry for entry in found[part] if not entry.keys() >= REQUIRED[part]] == []
    assert {entry["@id"] for entry in found["recordSet"]} == {"problems", "practice", "trees", "traces", "report"}
    problems = found["recordSet"][0]["field"][1]
    assert problems["description"] == "the text that a model is asked" and problems["dataType"] == "sc:Text"


def test_places_on_the_hub_are_addresses(tmp_path):
    tables = published_tables(make_data(tmp_path))
    provenance = Provenance.read(make_provenance(tmp_path / "provenance"))
    found = json.loads(croissant(Labels("org/traces", "mit"), tables, provenance))
    assert found["distribution"][0]["contentUrl"] == (
        "https://huggingface.co/datasets/org/traces/resolve/main/data/problems/problems.parquet"
    )
    assert found["creator"]["name"] == "org" and found["license"] == "mit"


def test_its_library_reads_description_and_records(described):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    dataset = mlcroissant.Dataset(jsonld=str(described))
    assert not dataset.metadata.ctx.issues.errors
    assert dataset.metadata.data_biases and dataset.metadata.data_use_cases
    rows = list(dataset.records("problems"))
    assert len(rows) == 5 and rows[0]["problems/question"] in (b"numbers 0 3 target 17", "numbers 0 3 target 17")
