"""Search against the raw engine, against a plain loop, and the cost of a useful tree by policy.

    python -m benchmarks.search --quick --json

The quickstart's base model searches the quickstart's puzzles on the `transformers` engine.

- *share of the raw engine*: tokens per CPU second of a whole search (engine, trees, verdicts, storing) over those of a
  flat batch of exactly the same requests: equal prompts and seeds, and therefore equal samples.
- *bookkeeping*: the share of the search's time that is spent outside the engine.
- *factor over a plain loop*: the same search with one tree at a time, which waits for its samples.
- *tokens per valid tree*: a valid tree has a correct terminal and two incorrect ones with different answers. Each row
  changes one thing in the row above it, from the paper's settings to the quickstart's; other policies follow.

Measured in CPU time of one thread, so that other load matters little. The last line is JSON.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from astro_factory.core.canonical import digest
from astro_factory.core.problems import Problem
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.trees import unpack
from astro_factory.core.verdicts import Outcome
from astro_factory.engines import Engine, Request, open_engine
from astro_factory.engines.base import Stream
from astro_factory.search.config import PolicyConfig
from astro_factory.search.engine_worker import EngineSearch
from astro_factory.search.ledger import Ledger
from astro_factory.search.workers import InProcessWorker, drive
from astro_factory.spec import compile_spec
from astro_factory.stages.problems.countdown import make_problems
from astro_factory.stages.validation import output_fault
from astro_factory.store import Store
from astro_factory.store.exports import Export
from astro_factory.store.transfer import import_result

PAPER = {"expansions": 8, "rollouts": 16, "iterations": 32, "c_puct": 1.0, "prior": "logprob", "count_evaluation": True}
LIMITS = ("max_depth", "max_step_tokens", "max_rollout_tokens", "rollout_stop")
STOP = {"right": 1, "wrong_distinct": 4}
LADDER: dict[str, dict[str, Any]] = {
    "the paper's settings": {},
    "+ rollouts kept as branches": {"keep_rollouts": True},
    "+ stop when there is enough": {"stop": STOP},
    "+ rollouts as candidates, one each": {"candidates": "rollouts", "rollouts": 1, "prior": "share"},
    "+ 6 iterations, c_puct 1.5: the quickstart's": {"iterations": 6, "c_puct": 1.5},
}
OTHERS: dict[str, dict[str, Any]] = {
    "the quickstart's, stop at 2 wrong": {"stop": {"right": 1, "wrong_distinct": 2}},
    "the quickstart's, patience 2": {"stop": STOP | {"patience": 2}},
    "the quickstart's, 4 expansions": {"expansions": 4},
    "the quickstart's, no stop rule": {"stop": None},
    "the quickstart's, 4 rollouts, 2 first": {"candidates": "steps", "rollouts": 4, "first_rollouts": 2},
    "best_of_n 8": {"kind": "best_of_n", "n": 8},
    "best_of_n 32": {"kind": "best_of_n", "n": 32},
    "beam, width 4": {"kind": "beam", "width": 4},
    "dfs": {"kind": "dfs", "max_expansions": 12, "stop": STOP},
    "bfs": {"kind": "bfs", "max_expansions": 12, "stop": STOP},
}


class TimedStream(Stream):
    """Notes what is asked, and the CPU time until it is answered."""

    def __init__(self, stream: Stream, engine: "TimedEngine"):
        self._stream, self._engine = stream, engine

    def add(self, ticket: Any, request: Request) -> None:
        self._engine.requests.append(request)
        start = time.process_time()
        self._stream.add(ticket, request)
        self._engine.seconds += time.process_time() - start

    def take(self) -> list[tuple[Any, list]]:
        start = time.process_time()
        taken = self._stream.take()
        self._engine.seconds += time.process_time() - start
        return taken


class TimedEngine(Engine):
    """An engine that notes what a search asks of it."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self.tokenizer, self.max_model_len = engine.tokenizer, engine.max_model_len
        self.requests: list[Request] = []
        self.seconds = 0.0

    def generate(self, requests: Sequence[Request]) -> list:
        return self._engine.generate(requests)

    def stream(self) -> Stream:
        return TimedStream(self._engine.stream(), self)


class Found:
    """One search: what it cost and what it gave."""

    def __init__(self, engine: Engine, policy: Any, problems: Sequence[Problem], in_flight: int = 512):
        self.engine = TimedEngine(engine)
        with tempfile.TemporaryDirectory() as folder:
            items = Store(Path(folder)).items()
            keyed = {digest(problem.as_row()): problem for problem in problems}
            start = time.process_time()
            for _ in drive([lambda: InProcessWorker(Kept(self.engine, policy, 0))], Ledger(items, keyed), in_flight):
                pass
            self.seconds = time.process_time() - start
            rows = [unpack(items.get(key)).select(["nodes", "tokens"]).to_pylist()[0] for key in keyed]
        self.trees = len(rows)
        self.tokens = sum(row["tokens"] for row in rows)
        self.valid = sum(map(valid, rows))
        self.rate = self.tokens / self.seconds
        self.bookkeeping = 1 - self.engine.seconds / self.seconds

    def share_of_raw(self) -> float:
        """Tokens per second of the search over those of the same requests in one flat batch."""
        start = time.process_time()
        answers = self.engine.generate(self.engine.requests)
        raw = sum(len(sample.ids) for samples in answers for sample in samples) / (time.process_time() - start)
        return self.rate / raw

    def row(self) -> dict[str, Any]:
        per_valid = round(self.tokens / self.valid) if self.valid else None
        return {
            "trees": self.trees,
            "tokens_per_tree": round(self.tokens / self.trees),
            "valid": round(self.valid / self.trees, 3),
            "tokens_per_valid_tree": per_valid,
        }


class Kept(EngineSearch):
    """Its engine outlives it."""

    def close(self) -> None:
        pass


def valid(row: dict[str, Any]) -> bool:
    wrong = {node["answer"] for node in row["nodes"] if node["verdict"] == Outcome.INCORRECT}
    return len(wrong) >= 2 and any(node["verdict"] == Outcome.CORRECT for node in row["nodes"])


def policies(quickstart: Any) -> dict[str, Any]:
    """Each row of the table: its name and its policy."""
    shared = {name: getattr(quickstart, name) for name in LIMITS}
    settings, made = {"kind": "mcts"} | shared | PAPER, {}
    for name, changes in LADDER.items():
        settings |= changes
        made[name] = settings.copy()
    for name, changes in OTHERS.items():
        kind = changes.get("kind", "mcts")
        start = {n: v for n, v in shared.items() if kind != "best_of_n" or n != "max_step_tokens"}
        made[name] = (settings if kind == "mcts" else start) | changes
    return {name: TypeAdapter(PolicyConfig).validate_python(fields) for name, fields in made.items()}


def base_model(folder: Path, spec: Path) -> Path:
    """The model that the quickstart's spec brings along."""
    export, store = Export(spec.parent / "exports/quickstart_base.tar"), Store(folder)
    [result] = filter(export.has_blobs, export.results().values())
    import_result(store, export, result, output_fault)
    return store.output(result)


def speed(engine: Engine, policy: Any, problems: Sequence[Problem], sizes: Sequence[int], loud: bool) -> dict[str, Any]:
    """Shares of the raw engine by the number of trees, and the factor over a plain loop."""
    Found(engine, policy, problems[:4])  # what is loaded once is not the search's
    shares, bookkeeping = {}, {}
    for size in sizes:
        found = Found(engine, policy, problems[:size])
        shares[size], bookkeeping[size] = round(found.share_of_raw(), 3), round(found.bookkeeping, 3)
        if loud:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            print(
                f"{size} trees: {found.rate:,.0f} tokens/s, {shares[size]:.2f} of the raw engine, "
                f"{bookkeeping[size]:.1%} bookkeeping, {memory:,} MB at most",
                flush=True,
            )
    plain = Found(engine, policy, problems[: min(sizes[0], 40)], in_flight=1)
    return {
        "share_of_raw_engine": shares[sizes[-1]],
        "shares_by_trees": shares,
        "bookkeeping_share": bookkeeping[sizes[-1]],
        "factor_over_one_tree_at_a_time": round(found.rate / plain.rate, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of an hour")
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--trees", type=int, help="trees of each row of the table [default: 200; quick: 24]")
    parser.add_argument("--sizes", type=int, nargs="+", help="trees of the searches whose speed is measured")
    arguments = parser.parse_args()
    sizes = arguments.sizes or ([100, 300] if arguments.quick else [100, 1000, 10000])
    trees = arguments.trees or (24 if arguments.quick else 200)
    spec = shipped_folder("specs") / "quickstart.yaml"
    nodes = compile_spec(spec).nodes
    config = nodes["trees"].config
    count = max(*sizes, trees)
    problems = list(islice(make_problems(nodes["train"].config.model_copy(update={"count": count})), count))
    result: dict[str, Any] = {"benchmark": "search", "engine": config.engine.kind}
    with tempfile.TemporaryDirectory() as folder, open_engine(config.engine, base_model(Path(folder), spec)) as engine:
        result |= speed(engine, config.policy, problems, sizes, not arguments.json)
        table = {}
        for name, policy in policies(config.policy).items():
            table[name] = Found(engine, policy, problems[:trees]).row()
            if not arguments.json:
                print(f"{name}: {table[name]}", flush=True)
    first, ours = table[next(iter(LADDER))], table[list(LADDER)[-1]]
    result["tokens_per_valid_tree"] = ours["tokens_per_valid_tree"]
    result["times_fewer_than_the_papers"] = round(first["tokens_per_valid_tree"] / ours["tokens_per_valid_tree"], 1)
    print(json.dumps(result | {"policies": table}))


if __name__ == "__main__":
    main()
