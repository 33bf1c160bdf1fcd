"""Puzzles that plain samples rarely solve: what a search solves with equal tokens.

    astro-factory build specs/quickstart.yaml base && astro-factory show specs/quickstart.yaml:base --path
    python -m benchmarks.deep_search MODEL_FOLDER --split dev --puzzles 100 --seeds 0       # to tune the policies
    python -m benchmarks.deep_search MODEL_FOLDER --keep trees/                              # the table

Countdown with six and seven numbers, for a base that has practised with three to five. Every policy stops at the first
correct answer; a puzzle counts as solved within T tokens if all that was sampled until then is at most T tokens. The
intervals are over number sets; the seeds sample anew on the same puzzles.

`exact` prunes by exact solvability in every state, with twice the proposals, so that it loses only what the model does
not propose: about what a value can give. The other searches use the value of the verifier `countdown`, which knows
whether the target can still be reached once three numbers are left, and nothing before.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice, product
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from astro_factory.core.problems import Problem
from astro_factory.core.tables import write_batches
from astro_factory.core.trees import Tree, pack, read_trees, tree_schema, unpack
from astro_factory.core.verdicts import Outcome
from astro_factory.engines import open_engine
from astro_factory.engines.base import Engine
from astro_factory.engines.config import TransformersConfig
from astro_factory.evaluation.intervals import Bootstrap, Interval
from astro_factory.search.config import PolicyConfig, PythonPolicyConfig
from astro_factory.search.driver import Search
from astro_factory.search.tree_builder import PolicyRun, SampleRequest, TreeBuilder
from astro_factory.verifiers.countdown import Countdown, question_text
from astro_factory.verifiers.countdown_puzzles import PuzzleRules, Split, random_puzzle

NUMBERS = (6, 7)
BUDGETS = (200, 300, 600, 1200)
"""Tokens a puzzle."""
STEP_TOKENS = 32
HARD, PATHS = 0.05, 20
"""A puzzle is hard if at most this share of so many paths is right; they are sampled apart from the comparison."""
ENGINE = {"kind": "transformers", "batch_size": 256, "device": "cpu"}
_IN_FLIGHT = 100


class Exact(Countdown):
    """Countdown with the exact solvability of every state as its value."""

    name = "python:benchmarks.deep_search:Exact"
    lookahead = max(NUMBERS)


def walk(builder: TreeBuilder, config: PythonPolicyConfig) -> PolicyRun:
    """Independent paths, some at a time, until one is correct or the rounds are used up.

    They are sampled step by step, and the verifier completes each step as it does in a search.
    """
    options = config.options
    for _ in range(options["rounds"]):
        ends = [0] * options["together"]
        while ends:
            counts = Counter(ends)
            requests = [
                SampleRequest(node, "step", count, options["step_tokens"], (config.delimiter,))
                for node, count in counts.items()
            ]
            results, ends = (yield from builder.sample(*requests)), []
            for node, samples in zip(counts, results, strict=True):
                for sample in samples:
                    path = builder.add_path(node, builder.parse(node, sample).first(), [], merge=False)
                    ends += [new for new in path if not builder.tree.nodes[new].terminal]
        builder.tree.iterations += options["together"]
        if builder.count_terminals()[0]:
            return


_SAMPLING: dict[str, Any] = {"max_depth": 8}
_WALK = _SAMPLING | {"kind": "python", "target": "benchmarks.deep_search:walk"}
_STEPS = _SAMPLING | {
    "expansions": 3,
    "max_step_tokens": STEP_TOKENS,
    "prior": "share",
    "stop": {"right": 1, "wrong_distinct": 0},
}
_POLICIES: dict[str, dict[str, Any]] = {
    "samples": _WALK | {"options": {"rounds": 10, "together": 2, "step_tokens": STEP_TOKENS}},
    "mcts": _STEPS | {"kind": "mcts", "iterations": 32, "value": "verifier", "c_puct": 1.0, "prune_below": 0.5},
    "dfs": _STEPS | {"kind": "dfs", "max_expansions": 32, "value": "verifier", "prune_below": 0.5},
    "exact": _STEPS | {"kind": "dfs", "expansions": 6, "max_expansions": 16, "value": "verifier", "prune_below": 0.5},
}


def policy(name: str, **changes: Any) -> PolicyConfig:
    """One of the policies, with other options."""
    return TypeAdapter(PolicyConfig).validate_python(_POLICIES[name] | changes)


def puzzles(split: Split) -> Iterator[Problem]:
    """Solvable puzzles without end, the same ones each time."""
    random, rules, names = Random(f"deep {split}"), PuzzleRules(), set()
    for size in cycle(NUMBERS):
        path = random_puzzle(random, rules, size, split)
        name = path and f"{' '.join(map(str, path.numbers))} = {path.end}"
        if not path or not name or name in names:
            continue
        names.add(name)
        info = {"numbers": list(path.numbers), "target": path.end, "max_value": rules.max_value}
        yield Problem(name, question_text(path.numbers, path.end), path.expression, Countdown.name, info)


def hard_puzzles(engine: Engine, count: int, split: Split) -> list[Tree]:
    """The first puzzles of a split that the model rarely solves, as the trees of the paths that show it."""
    paths = policy("samples", options={"rounds": 1, "together": PATHS, "step_tokens": STEP_TOKENS})
    source, found = puzzles(split), []
    while len(found) < count:
        trees = grow(engine, paths, list(islice(source, _IN_FLIGHT)), seed=1000)
        found += [tree for tree in trees if pass_rate(tree) <= HARD]
        print(f"{len(found)} hard puzzles", flush=True)
    return found[:count]


def pass_rate(tree: Tree) -> float:
    return sum(node.verdict == Outcome.CORRECT for node in tree.nodes) / PATHS


def grow(engine: Engine, config: PolicyConfig, problems: Sequence[Problem], seed: int) -> list[Tree]:
    """The trees of these problems, in their order."""
    search, trees, waiting = Search(engine, config, seed), {}, list(problems)
    while waiting or search.in_progress:
        begun = [waiting.pop(0) for _ in range(min(len(waiting), _IN_FLIGHT - search.in_progress))]
        trees |= search.advance({problem.id: problem for problem in begun})
    return [trees[problem.id] for problem in problems]


def solved_within(tree: Tree, tokens: int) -> bool:
    """Whether the tree has a correct answer and was finished with at most so many tokens."""
    return tree.tokens <= tokens and any(node.verdict == Outcome.CORRECT for node in tree.nodes)


def kept(folder: Path | None, name: str, make: Callable[[], list[Tree]]) -> list[Tree]:
    """The trees in a file of this name or, if there is none, new ones, which are then written to it."""
    path = folder and folder / f"{name}.parquet"
    if path and path.exists():
        return list(read_trees(path))
    trees = make()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_batches(path, (unpack(pack(tree)) for tree in trees), tree_schema())
    return trees


def table(trees: dict[str, list[list[Tree]]], budgets: Sequence[int]) -> list[str]:
    """Lines with the share of puzzles that each policy solves, and its ratio to plain samples; trees are by seed."""
    problems = [tree.problem for tree in trees["samples"][0]]
    draws = Bootstrap([tuple(sorted(problem.info["numbers"])) for problem in problems], seed=0)
    lines = [f"{'policy':8} {'tokens':>6}  solved                 times the samples"]
    for budget in budgets:
        solved = {name: _solved(found, budget) for name, found in trees.items()}
        for name, column in solved.items():
            share = draws.interval(list(column))
            ratio = draws.statistic([column, solved["samples"]], _ratio)
            lines.append(f"{name:8} {budget:6,}  {_text(share, 3)}   {_text(ratio, 1)}")
    return lines


def _solved(seeds: list[list[Tree]], budget: int) -> np.ndarray:
    """For each puzzle the share of seeds that solve it."""
    return np.mean([[solved_within(tree, budget) for tree in trees] for trees in seeds], axis=0)


def _ratio(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(ours.mean() / theirs.mean()) if theirs.any() else float("nan")


def _text(found: Interval, digits: int) -> str:
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--puzzles", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--policies", nargs="+", choices=sorted(_POLICIES), default=list(_POLICIES))
    parser.add_argument("--keep", type=Path, help="folder for the trees; those that stand there are not grown again")
    options = parser.parse_args()
    names = ["samples", *(name for name in options.policies if name != "samples")]
    trees: dict[str, list[list[Tree]]] = {name: [] for name in names}
    with open_engine(TransformersConfig.model_validate(ENGINE), options.model) as engine:
        hard = kept(
            options.keep,
            f"{options.split}-{options.puzzles}-hard",
            lambda: hard_puzzles(engine, options.puzzles, options.split),
        )
        problems = [tree.problem for tree in hard]
        exact = [replace(problem, verifier=Exact.name) for problem in problems]
        for seed, name in product(options.seeds, names):
            ours, file = (exact if name == "exact" else problems), f"{options.split}-{options.puzzles}-{name}-{seed}"
            found = kept(options.keep, file, lambda n=name, p=ours, s=seed: grow(engine, policy(n), p, s))
            trees[name].append(found)
            print(f"{file}: {fmean(tree.tokens for tree in found):,.0f} tokens a tree", flush=True)
    print(f"{len(hard)} puzzles of {options.split}, seeds {options.seeds}; pass rate {fmean(map(pass_rate, hard)):.3f}")
    print("\n".join(table(trees, BUDGETS)))


if __name__ == "__main__":
    main()
