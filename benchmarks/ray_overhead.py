"""Overhead of sampling on Ray over sampling in processes of this machine.

    python -m benchmarks.ray_overhead --quick --json

Two engines of each kind (a random Llama of the quickstart's shape) answer the same 1,000 problems in turns, with the
stage's own code: requests out, samples back, an item stored for each. All engines are loaded before the first turn. CPU
time is that of this process and of the processes of the side whose turn it is, so that other load matters little. What
Ray's processes use while they wait, measured in the turns of the others, is not counted. The last line is JSON; each
`ratio` is Ray over local.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astro_factory.core.context import Events, StageContext
from astro_factory.core.problems import Problem
from astro_factory.engines.config import TransformersConfig
from astro_factory.stages.generation import Batch, Generator, Sampling, conversation_about
from astro_factory.stages.sampling_hooks import Backend
from astro_factory.store.store import StoredItems
from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer

BACKENDS: tuple[Backend, Backend] = ("local", "ray")
ENGINES = 2
GROUP = 50
"""Problems in one call of an engine."""


class Silent(Events):
    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None: ...
    def metric(self, step: int, values: Mapping[str, Any]) -> None: ...
    def log(self, text: str) -> None: ...


def make_model(folder: Path) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer([str(number) for number in range(600)], 0, CHAT_FORMATS["minimal"], 512)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def batches(model: Path, numbers: range, tokens: int) -> list[Batch]:
    sampling = Sampling(model, "model", TransformersConfig(kind="transformers", device="cpu"), 1.0, tokens)
    problems = [Problem(f"p{number}", f"{number % 600} {number // 600}", "1", "math") for number in numbers]
    asked = [conversation_about(problem, 0, range(1)) for problem in problems]
    return [Batch(sampling, asked[start : start + GROUP]) for start in range(0, len(asked), GROUP)]


def cpu_s() -> dict[str, float]:
    """CPU time so far of this process (`here`) and of the processes below it that belong to each back end."""
    ticks: dict[int, int] = {}
    above: dict[int, int] = {}
    titles: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            titles[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        above[int(folder.name)], ticks[int(folder.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    here = os.getpid()
    total = {"here": ticks[here], **dict.fromkeys(BACKENDS, 0)}
    for process in ticks:
        top = process
        while above.get(top, 0) not in (0, here):
            top = above[top]
        if above.get(top) == here:
            total["local" if "astro_factory.core.workers" in titles[top] else "ray"] += ticks[process]
    return {name: count / os.sysconf("SC_CLK_TCK") for name, count in total.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter responses")
    parser.add_argument("--json", action="store_true", help="only the last line")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    turns, size, tokens = 4, 250, 48 if arguments.quick else 128
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = make_model(root / "model")
        sides = {}
        for backend in BACKENDS:
            ctx = StageContext("sampled", {}, {}, root, root, StoredItems(root / backend), Silent())
            sides[backend] = Generator(ctx, ENGINES, backend)
        with sides["local"], sides["ray"]:
            for generator in sides.values():  # loads the engines
                generator.responses(batches(model, range(10**6, 10**6 + ENGINES * GROUP), 4))
            wall, cpu, idle = dict.fromkeys(BACKENDS, 0.0), dict.fromkeys(BACKENDS, 0.0), 0.0
            for turn in range(turns):
                asked = batches(model, range(turn * size, (turn + 1) * size), tokens)
                answers = {}
                for backend in BACKENDS[:: 1 if turn % 2 else -1]:
                    start, before = time.monotonic(), cpu_s()
                    answers[backend] = sides[backend].responses(asked)
                    wall[backend] += time.monotonic() - start
                    used = {name: after - before[name] for name, after in cpu_s().items()}
                    cpu[backend] += used["here"] + used[backend]
                    idle += used["ray"] if backend == "local" else 0.0
                assert answers["local"] == answers["ray"]
                if not arguments.json:
                    print(f"turn {turn + 1} of {turns}: wall {wall}, CPU {cpu}")
    cpu["ray"] -= idle * wall["ray"] / wall["local"]
    result: dict[str, Any] = {
        "benchmark": "ray_overhead",
        "problems": turns * size,
        "tokens": tokens,
        "engines": ENGINES,
    }
    for title, seconds in (("wall", wall), ("cpu", cpu)):
        figures = {f"{backend}_s": round(value, 2) for backend, value in seconds.items()}
        result[title] = {**figures, "ratio": round(seconds["ray"] / seconds["local"], 3)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
