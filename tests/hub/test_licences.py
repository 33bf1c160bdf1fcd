"""What licences ask for, told before any GPU time is spent."""

import pytest

from astro_factory.hub.licences import KNOWN, conflict, llama_terms, unknown_licence
from astro_factory.hub.preflight import check_on_hub, check_terms
from tests.hub.server import READER

LLAMAS = {
    "meta-llama/Llama-3.1-8B-Instruct": "llama3.1",
    "meta-llama/Meta-Llama-3-8B": "llama3",
    "meta-llama/Llama-3.2-1B": "llama3.2",
    "meta-llama/Llama-3.3-70B-Instruct": "llama3.3",
    "meta-llama/Llama-4-Scout-17B-16E": "llama4",
    "someone/my_llama3-tuned": "llama3",
    "HuggingFaceTB/SmolLM2-135M-Instruct": None,
    "openlm-research/open_llama_3b": None,
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": None,
    "meta-llama/Llama-2-7b-hf": None,
    "llama-3-fans/qwen": None,
}


@pytest.mark.parametrize(("repo", "licence"), LLAMAS.items())
def test_llama_is_recognized_by_its_name(repo, licence):
    terms = llama_terms(["org/other", repo])
    assert (terms and terms.licence) == licence
    assert licence is None or licence in KNOWN


def test_llama_terms_are_spelled_as_the_licence_has_them():
    terms = llama_terms(["meta-llama/Llama-3.1-8B"])
    assert terms.notice == (
        "Llama 3.1 is licensed under the Llama 3.1 Community License, "
        "Copyright © Meta Platforms, Inc. All Rights Reserved.\n"
    )
    assert terms.link == "https://www.llama.com/llama3_1/license/" and terms.built_with == "Built with Llama"
    first = llama_terms(["meta-llama/Meta-Llama-3-8B"])
    assert first.family == "Meta Llama 3" and first.built_with == "Built with Meta Llama 3"


def test_unknown_licence_comes_with_near_matches():
    assert unknown_licence("mit") is None
    text = unknown_licence("Apache2.0")
    assert text.startswith("'Apache2.0' is not a licence identifier of the Hub; did you mean 'apache-2.0'")
    assert unknown_licence("zzzzzz").endswith("use `other` for a licence without an identifier")


@pytest.mark.parametrize(
    ("own", "source", "is_one"),
    [
        ("mit", "cc-by-nc-4.0", True),
        ("cc-by-nc-4.0", "cc-by-nc-4.0", False),
        (None, "cc-by-sa-4.0", True),
        ("mit", "apache-2.0", False),
        ("mit", "cc-by-4.0", False),
        ("mit", "cdla-sharing-1.0", True),
        ("mit", "ncsa", False),
    ],
)
def test_terms_that_stick(own, source, is_one):
    assert conflict(own, source) is is_one


def test_llama_name_and_licence(golden):
    models = ["meta-llama/Llama-3.1-8B-Instruct"]
    assert check_terms("org/llama3-8b-astro", "llama3.1", models) == []
    assert check_terms("org/Llama-3.1-astro", "llama3.1", models) == []
    assert check_terms("org/astro-8b", "mit", ["HuggingFaceTB/SmolLM2-135M"]) == []
    faults = check_terms("org/astro-8b", "mit", models)
    assert [fault.code for fault in faults] == ["E721", "E722"]
    golden("\n".join(map(str, faults)))
    assert check_terms("org/llama-astro", "llama3", ["meta-llama/Meta-Llama-3-8B"])[0].code == "E721"


def found(repo="org/traces", repo_type="dataset", licence="mit", models=(), datasets=()):
    return [str(d) for d in check_on_hub(repo, repo_type, licence, models, datasets)]


def test_all_is_well(hub):
    hub.create("org/traces", private=True)
    hub.create("org/base", "model", gated=True)
    hub.create("org/math", **{"README.md": b"---\nlicense: cc-by-4.0\n---\n"})
    assert found(models=["org/base"], datasets=["org/math"]) == []
    assert found(repo="org/not-yet") == found(repo="writer/own") == []
    assert all(line.startswith("GET") for line in hub.requests)


def test_no_token(hub, monkeypatch, golden):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.utils._auth._get_token_from_file", lambda: None)
    (text,) = found()
    assert text.startswith("E701 ")
    golden(text)


def test_token_that_the_hub_does_not_know(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_nonsense")
    assert [text[:4] for text in found()] == ["E701"]


def test_token_that_may_only_read(hub, monkeypatch, golden):
    monkeypatch.setenv("HF_TOKEN", READER)
    (text,) = found()
    assert text.startswith("E702 ")
    golden(text)


def test_owner_that_is_not_mine(hub, golden):
    (text,) = found(repo="others/traces")
    assert text.startswith("E702 ")
    golden(text)


def test_no_write_access_to_one_repository(hub):
    hub.create("org/traces")
    hub.fail("GET", "/auth-check/write", status=403)
    assert [text[:4] for text in found()] == ["E702"]


def test_gated_sources(hub, monkeypatch, golden):
    hub.create("org/base", "model", gated=True)
    hub.create("org/math", gated=True)
    monkeypatch.setenv("HF_TOKEN", READER)
    texts = found(models=["org/base"], datasets=["org/math"])[1:]
    assert [text[:4] for text in texts] == ["E723", "E723"]
    golden("\n".join(texts))


def test_licence_of_a_problem_set(hub, golden):
    hub.create("org/math", **{"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"})
    (text,) = found(datasets=["org/math"])
    assert text.startswith("E724 ")
    golden(text)
    assert found(licence="cc-by-nc-4.0", datasets=["org/math"]) == []
    assert found(repo="org/llama", repo_type="model", datasets=["org/math"]) == [], "a model quotes no problems"


def test_source_that_does_not_exist(hub):
    assert [text[:4] for text in found(models=["org/nothing"])] == ["E703"]
