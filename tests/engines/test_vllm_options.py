"""`options` of a vLLM engine, checked against a stand-in for the installed version."""

import pytest

from astro_factory.core.config import semantic_values
from astro_factory.core.errors import UserError
from astro_factory.engines import vllm_options
from astro_factory.engines.config import VllmConfig
from astro_factory.spec.compiler import compile_spec

SOURCE = """
class EngineArgs:
    model: str = ""
    quantization: str | None = None
    kv_cache_dtype: str = "auto"
    speculative_config: dict | None = None
    trust_remote_code: bool = False
    seed: int = 0
    _private: int = 0

class AsyncEngineArgs(EngineArgs):
    enable_log_requests: bool = False
"""
SPEC = """\
factory: 1
name: options
models: {base: {kind: init}}
problems: {some: {kind: countdown, count: 2}}
search_policies: {short: {kind: best_of_n, n: 2, max_rollout_tokens: 8}}
engines:
  gpu:
    kind: vllm
    options: {OPTIONS}
stages:
  trees: {kind: search, policy: short, model: base, engine: gpu, problems: some}
"""


@pytest.fixture
def vllm(tmp_path, monkeypatch):
    """A package named vllm that would fail if it were imported."""
    package = tmp_path / "site/vllm"
    (package / "engine").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('it was imported')")
    (package / "engine/arg_utils.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(package.parent)
    vllm_options.argument_names.cache_clear()
    yield
    vllm_options.argument_names.cache_clear()


@pytest.fixture
def no_vllm(monkeypatch):
    monkeypatch.setattr(vllm_options, "argument_names", frozenset)


def errors(folder, options: str) -> list[str]:
    path = folder / "spec.yaml"
    path.write_text(SPEC.replace("OPTIONS", options))
    try:
        compile_spec(path)
    except UserError as error:
        return [str(found) for found in error.diagnostics]
    return []


@pytest.mark.parametrize(
    "options",
    [
        "quantisation: fp8",
        "max_model_len: 100",
        "seed: 3",
        "trust_remote_code: true",
        "_private: 1",
    ],
)
def test_a_wrong_option_is_named(vllm, tmp_path, options, golden):
    [found] = errors(tmp_path, options)
    golden(found)


def test_options_of_the_installed_version_pass(vllm, tmp_path):
    options = "quantization: fp8, kv_cache_dtype: fp8, speculative_config: {method: ngram}, enable_log_requests: true"
    assert not errors(tmp_path, options)


def test_without_vllm_names_are_checked_where_the_spec_is_built(no_vllm):
    assert VllmConfig(kind="vllm", options={"anything": 1}).options == {"anything": 1}
    with pytest.raises(ValueError, match="it loads code"):
        VllmConfig(kind="vllm", options={"worker_cls": "x"})


def test_only_options_that_are_set_are_in_keys(no_vllm):
    assert "options" not in semantic_values(VllmConfig(kind="vllm"))
    chosen = VllmConfig(kind="vllm", options={"quantization": "fp8"})
    assert semantic_values(chosen)["options"] == {"quantization": "fp8"}
