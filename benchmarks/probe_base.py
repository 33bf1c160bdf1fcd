"""Whether a base model has the sub-skills of a countdown search, on held-out number sets.

    python -m benchmarks.probe_base MODEL_FOLDER --numbers 3 4 --json

All figures are shares from 0 to 1. Greedy decoding, given the path so far:

    result, state              a step's result and the numbers left after it, for random steps of a problem
    last_result                the last step's result where it misses the target: low if the model fakes results
    attempt_result, attempt_state    the same after `try`, where documents are honest attempts
    compare, compare_equal     the whole line of a comparison by subtraction; for equal pairs
    restate, restate_far       `had ...` is exactly a state of the current attempt; after other attempts as well

At temperature 1: `solve` is pass@1 on test problems, `solve 3 numbers` on those of one level.
A base model is ready for search from about .99 on; `last_result` and `solve` grow more slowly.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path as FilePath
from random import Random
from typing import NamedTuple

from astro_factory.core.canonical import seed_for
from astro_factory.core.chat import encode_prompt, encode_text
from astro_factory.core.models import model_source
from astro_factory.engines.base import Request
from astro_factory.stages.problems.countdown import Config, make_problems
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.countdown import question_text
from astro_factory.verifiers.countdown_puzzles import Path, PuzzleRules, draw_numbers, random_path
from astro_factory.verifiers.countdown_skills import compare_line, state_line


class Probe(NamedTuple):
    """A prompt, the beginning of a response, and the lines that are right from there on."""

    name: str
    question: str
    prefix: str
    right: tuple[str, ...]
    whole_line: bool = True
    """False where only the first word counts."""


def probes(rules: PuzzleRules, sizes: list[int], count: int) -> Iterator[Probe]:
    """`count` draws, each with one probe of every kind that fits it."""
    random = Random(seed_for(0, "probe"))
    for index in range(count):
        size = sizes[index % len(sizes)]
        path, target = _draw(random, rules, size)
        question = question_text(path.numbers, target)
        yield from _step_probes(random, path, target, question, "")
        yield from _step_probes(random, path, target, f"try {question}", "attempt_")
        first, second = random.randint(0, rules.max_value), random.randint(0, rules.max_value)
        yield Probe("compare", f"compare {first} {second}", "", (compare_line(first, second),))
        yield Probe("compare_equal", f"compare {first} {first}", "", (compare_line(first, first),))
        own = [*(step.text for step in path.steps), compare_line(path.end, target), "had"]
        states = tuple(state_line(state).removeprefix("had ") for state in path.states[:-1])
        yield Probe("restate", f"try {question}", "\n".join(own), states)
        before, other = _draw(random, rules, size)
        earlier = [*(step.text for step in before.steps), compare_line(before.end, other), f"try {question}"]
        first_question = f"series try {question_text(before.numbers, other)}"
        yield Probe("restate_far", first_question, "\n".join([*earlier, *own]), states)


def _draw(random: Random, rules: PuzzleRules, size: int) -> tuple[Path, int]:
    """A random path over test numbers, and a target that it misses."""
    while True:
        numbers = draw_numbers(random, rules, size, "test")
        path = numbers and random_path(random, numbers, rules.max_value)
        target = random.randint(*rules.target_range)
        if path and path.end != target and target not in path.numbers:
            return path, target


def _step_probes(random: Random, path: Path, target: int, question: str, label: str) -> Iterator[Probe]:
    chosen = random.randrange(len(path.steps))
    for index, step in enumerate(path.steps):
        before = "".join(f"{earlier.text}\n" for earlier in path.steps[:index])
        prefix = f"{before}{step.left} {step.operator} {step.right} ="
        if index == chosen:
            yield Probe(f"{label}result", question, prefix, (str(step.result),), whole_line=False)
            left = " ".join(map(str, step.remaining))
            yield Probe(f"{label}state", question, f"{prefix} {step.result}", (f"left {left}",))
        if index == len(path.steps) - 1 and not label:
            yield Probe("last_result", question, prefix, (str(step.result),), whole_line=False)


class Prober:
    """A loaded model and its sampler."""

    def __init__(self, folder: FilePath):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from astro_factory.engines.sampler import Sampler
        from astro_factory.training.weights import silence_transformers

        silence_transformers()
        source = model_source(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.sampler = Sampler(AutoModelForCausalLM.from_pretrained(source).eval(), self.tokenizer)

    def skills(self, items: list[Probe]) -> dict[str, float]:
        """Share of right lines by kind of probe, greedy."""
        requests = []
        for item in items:
            ids = self._prompt(item.question) + encode_text(self.tokenizer, item.prefix)
            requests.append(Request(tuple(ids), (0,), 24, 0.0, ("\n",)))
        hits = defaultdict(list)
        for item, [sample] in zip(items, self.sampler.generate(requests), strict=True):
            text = sample.text.strip()
            hits[item.name].append((text if item.whole_line else text.partition(" ")[0]) in item.right)
        return {name: sum(values) / len(values) for name, values in hits.items()}

    def solve(self, rules: PuzzleRules, sizes: list[int], count: int, samples: int) -> dict[str, float]:
        """pass@1 on test problems at temperature 1, over all and by level."""
        verifier = get_verifier("countdown")
        config = Config(**rules.model_dump() | {"kind": "countdown", "numbers": sizes, "count": count, "split": "test"})
        problems = list(make_problems(config))
        requests = [
            Request(tuple(self._prompt(p.question)), tuple(seed_for(0, p.id, n) for n in range(samples)), 100)
            for p in problems
        ]
        scores = defaultdict(list)
        for problem, answers in zip(problems, self.sampler.generate(requests), strict=True):
            score = sum(verifier.verify(problem, answer.text).correct for answer in answers) / samples
            scores["solve"].append(score)
            scores[f"solve {problem.level}"].append(score)
        return {name: sum(values) / len(values) for name, values in scores.items()}

    def _prompt(self, question: str) -> list[int]:
        return encode_prompt(self.tokenizer, [{"role": "user", "content": question}])


def probe(
    folder: FilePath, rules: PuzzleRules, sizes: list[int], count: int, problems: int, samples: int
) -> dict[str, float]:
    """All figures of a model folder."""
    prober = Prober(folder)
    figures = prober.skills(list(probes(rules, sizes, count))) | prober.solve(rules, sizes, problems, samples)
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=FilePath, help="folder of the model")
    parser.add_argument("--numbers", type=int, nargs="+", default=[3], help="counts of numbers to probe")
    parser.add_argument("--highest", type=int, default=10, help="largest given number")
    parser.add_argument("--count", type=int, default=200, help="probes of each kind")
    parser.add_argument("--problems", type=int, default=100, help="test problems to solve")
    parser.add_argument("--samples", type=int, default=4, help="samples of each problem")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args()
    rules = PuzzleRules(number_range=(1, options.highest))
    figures = probe(options.model, rules, options.numbers, options.count, options.problems, options.samples)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:18} {value:.3f}")


if __name__ == "__main__":
    main()
