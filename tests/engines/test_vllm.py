"""vLLM against our sampler on the same tiny model; runs where vLLM is installed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed", allow_module_level=True)

import psutil

from astro_factory.core.errors import UserError
from astro_factory.engines import Request, open_engine
from astro_factory.engines.config import VllmConfig
from astro_factory.engines.sampler import Sampler
from astro_factory.engines.vllm_engine import engine_arguments
from astro_factory.engines.vllm_options import argument_names
from tests.engines.tiny import make_llama, make_tokenizer

CONFIG = VllmConfig(
    kind="vllm", dtype="float32", max_model_len=128, gpu_memory_utilization=0.3, enforce_eager=True, max_num_seqs=64
)
LONG = Request((5, 6, 7), (1, 2), 100)
OWNER = """
import os, psutil, sys
from pathlib import Path
from astro_factory.engines import open_engine
from tests.engines.test_vllm import CONFIG
if __name__ == "__main__":
    engine = open_engine(CONFIG, Path(sys.argv[1]))
    Path(sys.argv[2]).write_text(" ".join(str(child.pid) for child in psutil.Process().children(recursive=True)))
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_tokenizer().save_pretrained(folder)
    make_llama().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def engine(folder):
    with open_engine(CONFIG, folder) as engine:
        yield engine


def test_greedy_samples_are_those_of_our_sampler(engine):
    requests = [Request((5 + i, 6, 7), (1, 2), 12, temperature=0.0, stop=("\n",)) for i in range(8)]
    expected = Sampler(make_llama(), make_tokenizer(), 8).generate(requests)
    for found, known in zip(engine.generate(requests), expected, strict=True):
        for sample, other in zip(found, known, strict=True):
            assert (sample.ids, sample.text, sample.finish) == (other.ids, other.text, other.finish)
            assert sample.logprobs == pytest.approx(other.logprobs, abs=1e-3)


def test_seeds_choose_samples_and_logprobs_are_those_of_temperature_one(engine):
    request = Request((5, 6, 7), tuple(range(30)), 8, temperature=0.7, stop=("\n", "ab"))
    [samples] = engine.generate([request])
    assert engine.generate([request]) == [samples]
    assert len({sample.ids for sample in samples}) > 5
    import torch

    model = make_llama()
    for sample in samples:
        with torch.no_grad():
            logits = model(torch.tensor([[5, 6, 7, *sample.ids]])).logits[0, 2:-1]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(sample.ids)[:, None])[:, 0]
        assert sample.logprobs == pytest.approx(expected.tolist(), abs=1e-3)


def test_a_step_takes_as_many_tokens_as_offline_batches_do_and_nothing_is_reported(engine):
    from vllm.usage.usage_lib import is_usage_stats_enabled

    assert engine._llm.vllm_config.scheduler_config.max_num_batched_tokens == 4096  # 2048 in a server
    assert not is_usage_stats_enabled()


def test_options_are_engine_arguments(folder):
    from vllm.engine.arg_utils import AsyncEngineArgs

    options = {"max_num_batched_tokens": 640, "block_size": 32}
    config = VllmConfig(**CONFIG.model_dump() | {"options": options})
    found = AsyncEngineArgs(**engine_arguments(config, folder)).create_engine_config()
    assert found.scheduler_config.max_num_batched_tokens == 640 and found.cache_config.block_size == 32
    assert argument_names() >= {"quantization", "kv_cache_dtype", "speculative_config"}
    with pytest.raises(ValueError, match="did you mean 'quantization'"):
        VllmConfig(kind="vllm", options={"quantisation": "fp8"})


def test_a_prompt_without_room_is_refused(engine):
    with pytest.raises(UserError, match="E601 a prompt of 128 tokens"):
        engine.generate([Request((5,) * 128, (1,), 1)])
    assert engine.max_model_len == 128


def test_more_prompts_than_a_step_takes_wait_for_the_next(engine):
    requests = [Request((5 + number % 50, 6 + number // 50, *[7] * 100), (number,), 2) for number in range(100)]
    assert [len(samples) for samples in engine.generate(requests)] == [1] * 100


def test_nothing_waits_for_what_takes_longer(engine):
    stream = engine.stream()
    stream.add("long", LONG)
    for number in range(3):
        stream.add(number, Request((9, number + 5), (3,), 2))
        [(ticket, [sample])] = stream.take()
        assert ticket == number and len(sample.ids) <= 2
    [(ticket, samples)] = stream.take()
    assert ticket == "long" and [samples] == engine.generate([LONG])
    assert stream.take() == []


def test_an_engine_that_hangs_or_dies_is_named_and_leaves_nothing_behind(folder, golden):
    before = set(psutil.Process().children(recursive=True))
    with open_engine(CONFIG, folder) as engine:
        known = engine.generate([LONG])
        [core] = {p for p in psutil.Process().children() if p.name().startswith("VLLM")} - before
        core.suspend()
        engine.timeout_s = 2.0
        with pytest.raises(UserError, match="E610") as caught:
            engine.generate([LONG])
        golden(str(caught.value))
        core.resume()
        engine.timeout_s = CONFIG.timeout_s
        assert engine.generate([LONG]) == known
        core.kill()
        with pytest.raises(UserError, match="E609") as caught:
            engine.generate([LONG])
        golden(str(caught.value))
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=20)
    assert not [process for process in alive if process.name().startswith(("VLLM", "sh"))]


def test_the_engines_processes_end_with_their_owner_however_it_ends(folder, tmp_path):
    (tmp_path / "owner.py").write_text(OWNER)
    command = [sys.executable, tmp_path / "owner.py", folder, tmp_path / "pids"]
    root = Path(__file__).parents[2]
    owner = subprocess.run(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)})
    assert owner.returncode == -signal.SIGKILL
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) >= 2
    end = time.monotonic() + 20
    while any(map(psutil.pid_exists, map(int, pids))) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [pid for pid in pids if psutil.pid_exists(int(pid))]


def test_settings_that_cannot_be_are_named(folder, golden):
    with pytest.raises(UserError) as caught:
        open_engine(CONFIG.model_copy(update={"max_model_len": 100_000}), folder)
    [found] = caught.value.diagnostics
    assert found.code == "E609" and "User-specified max_model_len (100000) is " in found.cause
    golden(found.remedy)
