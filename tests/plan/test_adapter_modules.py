"""Adapters of modules that their model does not have are found before anything is loaded."""

import json

import pytest

from astro_factory.core.errors import UserError
from astro_factory.plan import make_plan
from astro_factory.plan.adapter_modules import adapter_faults
from astro_factory.plan.preflight import preflight
from astro_factory.spec import compile_spec
from astro_factory.store import Store

SPEC = """\
factory: 1
name: modules
models: {{base: {base}}}
stages:
  data: {{kind: dialogues, path: dialogues.jsonl}}
  first: {{kind: sft, model: base, data: data, learning_rate: 1e-3}}
  tuned:
    kind: sft
    model: first
    data: data
    learning_rate: 1e-3
    adapter: {{kind: lora, target_modules: {modules}}}
"""
LLAMA = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2} | {
    "num_attention_heads": 2,
    "vocab_size": 100,
}
BASES = {
    "random": "{kind: init}",
    "a folder": "{kind: local, path: model}",
    "on the Hub": "{kind: hub, repo: meta-llama/Llama-3.2-1B-Instruct}",
}


def compiled(folder, base: str, modules: str):
    (folder / "dialogues.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "a"}]}) + "\n")
    (folder / "spec.yaml").write_text(SPEC.format(base=base, modules=modules))
    return compile_spec(folder / "spec.yaml")


@pytest.fixture
def folder(tmp_path):
    """A model folder of which only the config says something."""
    (tmp_path / "model").mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / "model" / name).write_bytes(b"")
    (tmp_path / "model" / "chat_template.jinja").write_text("{{ messages }}")
    (tmp_path / "model" / "config.json").write_text(json.dumps(LLAMA))
    return tmp_path


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_a_missing_module_is_found_in_every_model_of_known_shape(folder, base):
    graph = compiled(folder, base, "[query, v_proj]")
    [fault] = adapter_faults(graph, graph.nodes)
    assert fault.code == "E530" and fault.place and fault.place.line == 12
    assert fault.cause == "the model has no linear layers called 'query', which adapter.target_modules names"
    assert "'q_proj'" in str(fault.remedy)
    assert adapter_faults(graph, {"first"}) == []
    with pytest.raises(UserError, match="E530"):
        preflight(make_plan(graph, Store(folder / "store")), online=False)


@pytest.mark.parametrize(("modules", "highest"), [("all-linear", 64), ("[k_proj, down_proj]", 64)])
def test_a_rank_above_that_of_every_matrix(folder, modules, highest):
    for rank in (highest, highest + 1):
        graph = compiled(folder, BASES["a folder"], f"{modules}, rank: {rank}")
        found = adapter_faults(graph, graph.nodes)
        assert [fault.code for fault in found] == ["E534"] * (rank > highest)
    assert found[0].place and found[0].place.line == 12 and "above 64" in found[0].cause


def test_an_adapter_that_vllm_could_not_load_is_found_before_it_is_trained(folder):
    spec = folder / "spec.yaml"
    compiled(folder, BASES["on the Hub"], "all-linear, rank: 513")
    text = (
        spec.read_text()
        + """\
    save: adapter
problems:
  puzzles: {kind: countdown, count: 4}
  rates: {kind: pass_rate, model: tuned, engine: {kind: ENGINE}, problems: puzzles}
"""
    )
    for engine, codes in (("vllm", ["E534"]), ("transformers", [])):
        spec.write_text(text.replace("ENGINE", engine))
        graph = compile_spec(spec)
        assert [fault.code for fault in adapter_faults(graph, graph.nodes)] == codes


@pytest.mark.parametrize("modules", ["all-linear", "[q_proj, down_proj]"])
def test_modules_that_are_there(folder, modules):
    graph = compiled(folder, BASES["a folder"], modules)
    assert adapter_faults(graph, graph.nodes) == []


def test_of_an_architecture_that_is_not_known_nothing_is_said(folder):
    (folder / "model" / "config.json").write_text(json.dumps(LLAMA | {"model_type": "mamba"}))
    graph = compiled(folder, BASES["a folder"], "[in_proj]")
    assert adapter_faults(graph, graph.nodes) == []
