"""Searches without a model: what each policy finds, and what it costs, on trees whose chances are known.

    python -m benchmarks.synthetic_search rates     # cost of the flagship's search on easy and hard problems
    python -m benchmarks.synthetic_search deep      # policies on a deep tree with a noisy state value

A solution has `depth` steps. Each sampled step is sound with a fixed chance, whatever came before, and a solution is
right if all its steps are sound. The samples come from a random generator and take no time.
"""

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from random import Random
from statistics import fmean

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.engines.base import Request, Sample
from astro_factory.search.config import BeamConfig, BestOfNConfig, DfsConfig, MctsConfig, PolicyConfig
from astro_factory.search.driver import policy_for
from astro_factory.search.prompts import Prompts
from astro_factory.search.tree_builder import TreeBuilder
from astro_factory.verifiers.base import Verifier

STEP_TOKENS = 10
_WORDINGS = 6
"""Different texts of a step, for each of sound and unsound."""


class Synthetic(Verifier):
    """A step is `sound N` or `flawed N`; `problem.info` has the `depth`, the chance `sound`, and `noise`."""

    name = "python:benchmarks.synthetic_search:Synthetic"

    def check_problem(self, problem: Problem) -> str | None:
        return None

    def verify(self, problem: Problem, response: str) -> Verdict:
        answer = response.rsplit("answer ", 1)[-1]
        return Verdict(Outcome.CORRECT if answer == "right" else Outcome.INCORRECT, answer)

    def is_terminal(self, problem: Problem, steps: Sequence[str]) -> bool:
        return len(steps) >= problem.info["depth"]

    def closing(self, problem: Problem, steps: Sequence[str]) -> str:
        flaws = [step for step in steps if step.startswith("flawed")]
        return f"answer {flaws[0] if flaws else 'right'}"

    def value(self, problem: Problem, steps: Sequence[str]) -> float | None:
        """Whether all steps are sound; false with the chance `noise`, always the same for a state."""
        sound = not any(step.startswith("flawed") for step in steps)
        draw = int(hashlib.sha256(f"{problem.id} {steps}".encode()).hexdigest()[:8], 16) / 16**8
        return float(sound != (draw < problem.info["noise"]))


class _NoPrompts(Prompts):
    """Prompts of one token: the samples do not depend on them."""

    def __init__(self, config: PolicyConfig):
        super().__init__(None, config)

    def root(self, problem: Problem) -> tuple[int, ...]:
        return (0,)

    def _step(self, text: str, number: int) -> tuple[int, ...]:
        return (0,)

    def line_logprobs(self, ids: Sequence[int], logprobs: Sequence[float], text: str = "") -> list[float]:
        return [-1.0] * (len(ids) // STEP_TOKENS + 1)


def search(config: PolicyConfig, problem: Problem, seed: int = 0) -> TreeBuilder:
    """The finished tree of a problem, with the builder's bookkeeping."""
    builder = TreeBuilder(problem, Synthetic(), _NoPrompts(config), config, seed)
    run = policy_for(config)(builder, config)
    answers = None
    while True:
        try:
            requests = next(run) if answers is None else run.send(answers)
        except StopIteration:
            return builder
        answers = [_samples(request, problem) for request in requests]


def _samples(request: Request, problem: Problem) -> list[Sample]:
    single = "\n" in request.stop
    count = 1 if single else min(problem.info["depth"], request.max_tokens // STEP_TOKENS)
    return [_sample(Random(seed), problem.info["sound"], count, single) for seed in request.seeds]


def _sample(random: Random, sound: float, count: int, single: bool) -> Sample:
    kinds = ("sound" if random.random() < sound else "flawed" for _ in range(count))
    lines = [f"{kind} {random.randrange(_WORDINGS)}" for kind in kinds]
    size = count * STEP_TOKENS
    return Sample((0,) * size, "\n".join(lines), (-0.1,) * size, "stop" if single else "eos")


def problems(count: int, depth: int, sound: float, noise: float = 0.0) -> list[Problem]:
    """Equal problems with different names, which the seeds of the samples depend on."""
    info = {"depth": depth, "sound": sound, "noise": noise}
    return [Problem(f"p{number}", "?", "right", Synthetic.name, info) for number in range(count)]


def is_solved(builder: TreeBuilder) -> bool:
    return builder.count_terminals()[0] > 0


FLAGSHIP = MctsConfig.model_validate(
    {
        "kind": "mcts",
        "max_step_tokens": 512,
        "max_rollout_tokens": 2048,
        "keep_rollouts": True,
        "stop": {"right": 4, "wrong_distinct": 4, "min_iterations": 4, "solved": 128, "patience": 8},
    }
)
"""The search of `specs/llama3_8b.yaml`."""
RATES = (0.02, 0.1, 0.3, 0.6, 0.95, 1.0)


def rates(count: int, config: MctsConfig = FLAGSHIP, depth: int = 6) -> None:
    """Rollouts, iterations and terminals of the flagship's search, by the model's pass rate."""
    most, _ = config.limits()
    print(f"{count} problems of {depth} steps; at most {most:,} samples a tree")
    print("pass rate  samples (mean, most)  iterations  closed early  solved  deepest branch")
    for rate in RATES:
        found = [search(config, problem) for problem in problems(count, depth, rate ** (1 / depth))]
        samples = [len(builder.tree.calls) for builder in found]
        assert max(samples) <= most
        early = fmean(builder.tree.iterations < config.iterations for builder in found)
        rounds = fmean(builder.tree.iterations for builder in found)
        branch = fmean(_deepest_branch(builder) for builder in found)
        print(
            f"{rate:9.2f}  {fmean(samples):12.0f} {max(samples):7}  {rounds:10.1f}  {early:12.2f}  "
            f"{fmean(map(is_solved, found)):6.2f}  {branch:14.1f}"
        )


def _deepest_branch(builder: TreeBuilder) -> int:
    """The greatest depth at which a node was expanded, so that branches leave it."""
    return max(builder.depths[call.node] for call in builder.tree.calls if call.purpose == "step")


DEEP, SOUND, NOISE = 8, 0.45, 0.1
_STEPS: dict[str, int] = {"expansions": 4, "max_step_tokens": STEP_TOKENS, "max_depth": DEEP}
_MCTS = {"kind": "mcts", "iterations": 50, "prior": "share", "value": "verifier"} | _STEPS
_FIRST = {"right": 1, "wrong_distinct": 0}
POLICIES: dict[str, PolicyConfig] = {
    "samples": BestOfNConfig.model_validate({"kind": "best_of_n", "n": 25, "max_depth": DEEP}),
    "samples, four times the steps": BestOfNConfig.model_validate({"kind": "best_of_n", "n": 100, "max_depth": DEEP}),
    "mcts": MctsConfig.model_validate(_MCTS | {"stop": _FIRST}),
    "mcts, evaluations count as visits": MctsConfig.model_validate(_MCTS | {"count_evaluation": True, "stop": _FIRST}),
    "mcts, pruned": MctsConfig.model_validate(_MCTS | {"prune_below": 0.5, "stop": _FIRST}),
    "dfs, pruned": DfsConfig.model_validate(
        {"kind": "dfs", "max_expansions": 50, "value": "verifier", "prune_below": 0.5, "stop": _FIRST} | _STEPS
    ),
    "beam": BeamConfig.model_validate({"kind": "beam", "width": 7, "rank": "verifier", "stop": _FIRST} | _STEPS),
}
"""At most 200 sampled steps each, unless their name says more."""


def deep(count: int, policies: Iterable[str] = POLICIES) -> None:
    """The share of problems that each policy solves, on a tree too deep for plain samples."""
    print(f"{count} problems of {DEEP} steps; a step is sound with {SOUND}, a state's value is wrong with {NOISE}")
    print(f"{'policy':35}  steps  solved")
    for name in policies:
        found = [search(POLICIES[name], problem) for problem in problems(count, DEEP, SOUND, NOISE)]
        steps = fmean(builder.tree.tokens / STEP_TOKENS for builder in found)
        print(f"{name:35}  {steps:5.0f}  {fmean(map(is_solved, found)):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("rates", "deep"))
    parser.add_argument("--problems", type=int, default=200)
    options = parser.parse_args()
    {"rates": rates, "deep": deep}[options.table](options.problems)


if __name__ == "__main__":
    main()
