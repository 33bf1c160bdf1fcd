"""Which of several values a model reads when it judges a test, in a domain whose tests compare them.

    python -m benchmarks.probe_judge $(astro-factory show specs/domains/guess_number.yaml:base --path) guess_number

The model sees what practice ends with: the question, an exact test and its check (`5 1 want 4 1`), of held-out puzzles.
Printed is the share of verdicts Yes at temperature 1, by which values are the wanted ones. A good judge says Yes to
those tests alone in which all are.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from astro_factory.core.chat import encode_prompt, encode_text
from astro_factory.engines.base import Request
from astro_factory.verifiers.puzzles import PuzzleDomain, get_domain
from astro_factory.verifiers.splits import split_of
from benchmarks.attempts import Met, met_by, named
from benchmarks.probe_base import Prober

_TESTS_PER_PUZZLE = 30


class Judged(NamedTuple):
    """A test to be judged."""

    met: Met
    question: str
    text: str
    """The test and its check; a verdict would follow."""
    puzzle: int


def drawn_tests(domain: PuzzleDomain, size: int, puzzles: int) -> Iterator[Judged]:
    """The distinct ones of many random tests, and the right one, of puzzles that practice never shows."""
    random = Random(0)
    for number in range(puzzles):
        problem = None
        while problem is None or split_of(domain.identity(problem)) != "test":
            problem = domain.draw(random, size)
        tests = {domain.random_step(random, problem, []) for _ in range(_TESTS_PER_PUZZLE)}
        for test in sorted(tests | {domain.right_step(random, problem, [])}):
            facts = domain.facts(problem, [test])
            if (met := met_by(facts)) is None:
                raise SystemExit(f"the tests of '{domain.name}' compare no values `found` and `wanted`")
            yield Judged(met, f"try {problem.question}", f"{test}\n{facts['check']}", number)


def verdicts(prober: Prober, tests: Sequence[Judged]) -> dict[Met, list[bool]]:
    """Whether the model says Yes, for each test by what it meets."""
    requests = []
    for test in tests:
        question = encode_prompt(prober.tokenizer, [{"role": "user", "content": test.question}])
        requests.append(Request((*question, *encode_text(prober.tokenizer, test.text)), (test.puzzle,), 1))
    answers: dict[Met, list[bool]] = defaultdict(list)
    for test, [sample] in zip(tests, prober.sampler.generate(requests), strict=True):
        answers[test.met].append(sample.text.strip() == "Yes")
    return dict(sorted(answers.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("domain")
    parser.add_argument("--size", type=int, default=12, help="size of the puzzles")
    parser.add_argument("--puzzles", type=int, default=200)
    options = parser.parse_args()
    tests = list(drawn_tests(get_domain(options.domain), options.size, options.puzzles))
    for met, answers in verdicts(Prober(options.model), tests).items():
        print(f"says Yes to a test that meets {named(met)}: {sum(answers) / len(answers):.3f} of {len(answers)}")


if __name__ == "__main__":
    main()
