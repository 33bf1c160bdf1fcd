"""Is a later attempt in a response better than a fresh sample? Success by number of the attempt, inside and outside.

    python -m benchmarks.attempts specs/quickstart.yaml:report --arm astro_rl --base base --store .astro

The stage, an `evaluate` in a domain that reads states from steps, must be built. For the k-th attempt it prints:

    independent    chance that a sample of the base is correct, given that k - 1 others of the same puzzle were not
    in context     share of the arm's responses that are correct with the k-th attempt, of those that make so many
    let through    share of them that answer wrongly with it
    repeated       share of the k-th attempts that take the steps of an earlier one, in any order; and the same of
                   independent samples

A model that remembers what it has tried repeats less than independent samples do. To succeed more often than they do is
no sign of memory alone: training also changes single attempts. Below the table stand the share of steps that both arms
write as the domain would (where a step is a test, a model can trust only exact ones), and the share of the arm's right
attempts that it goes on from instead of giving their answer. Where a test compares several values, such as two
remainders, the last lines say which of them the model reads: how often it answers with an exact test in which these
values are the wanted ones and the others are not. A good judge answers with those alone in which all are.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import nan
from operator import eq
from pathlib import Path
from typing import NamedTuple

from astro_factory.cli.options import built_results, open_store, read_target
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.estimators import pass_at_k
from astro_factory.evaluation.evaluation_results import Evaluation
from astro_factory.evaluation.metrics import Samples
from astro_factory.evaluation.report import by_problem
from astro_factory.evaluation.sequential import rounds
from astro_factory.traces.state_moves import state_moves
from astro_factory.verifiers import get_verifier

Answered = tuple[Problem, str, Outcome]
"""A problem, a response to it, and its outcome."""
Met = tuple[bool, ...]
"""Of each value that a test compares whether it is the wanted one."""


class Attempt(NamedTuple):
    """All k-th attempts of an arm."""

    made: int
    """Responses that complete so many attempts."""
    right: float
    """Share of them that are correct with this one."""
    let_through: float
    """Share that give a wrong answer with it."""
    repeated: float
    """Share of these attempts that repeat an earlier one."""


def independent(correct: Sequence[int], samples: int, most: int) -> list[float]:
    """Chance that the k-th of independent samples is correct if none before it is, for k from 1 to `most`; NaN where
    one before it always is.

    Args:
        correct: how many of a puzzle's samples are correct, for each puzzle.
        samples: how many samples each has, at least `most`.
    """
    solved = [sum(pass_at_k(count, samples, k) for count in correct) / len(correct) for k in range(1, most + 1)]
    return [
        (now - before) / (1 - before) if before < 1 else nan
        for before, now in zip([0.0, *solved], solved, strict=False)
    ]


def independent_repeats(puzzles: Iterable[tuple[Problem, Samples]], most: int) -> list[float]:
    """Share of the k-th of independent samples that repeat an earlier one, if none before it is correct.

    Samples count as attempts of one response, which ends with the first that is correct; one such response starts at
    each sample and goes round.
    """
    runs = (
        _joined(problem, [rows[i] for i in order[:most]]) for problem, rows in puzzles for order in rounds(len(rows))
    )
    return [attempt.repeated for attempt in in_context(runs, most)]


def _joined(problem: Problem, rows: Samples) -> Answered:
    correct = next((i for i, row in enumerate(rows) if row["outcome"] == Outcome.CORRECT), None)
    text = "\n".join(row["text"] for row in rows[: None if correct is None else correct + 1])
    return problem, text, Outcome.NO_ANSWER if correct is None else Outcome.CORRECT


def in_context(responses: Iterable[Answered], most: int) -> list[Attempt]:
    """The attempts of responses, for k from 1 to `most`."""
    made, right, wrong, repeated = Counter[int](), Counter[int](), Counter[int](), Counter[int]()
    for problem, text, outcome in responses:
        repeats = _repeats(problem, text)
        for number, repeats_one in enumerate(repeats, 1):
            made[number] += 1
            repeated[number] += repeats_one
        if repeats:
            right[len(repeats)] += outcome is Outcome.CORRECT
            wrong[len(repeats)] += outcome is Outcome.INCORRECT
    return [
        Attempt(made[k], *(count[k] / max(made[k], 1) for count in (right, wrong, repeated)))
        for k in range(1, most + 1)
    ]


def _repeats(problem: Problem, text: str) -> list[bool]:
    """For each completed attempt of a response whether it repeats an earlier one."""
    verifier = get_verifier(problem.verifier)
    steps = verifier.stated_steps(problem, text)
    if steps is None:
        raise SystemExit(f"the domain '{problem.verifier}' reads no states from steps, so it knows no attempts")
    ends = [index + 1 for index, step in enumerate(steps) if step.ends]
    counts = [state_moves(verifier.start(problem), steps[:end]).repeated for end in ends]
    return [now > before for before, now in zip([0, *counts], counts, strict=False)]


def _steps(problem: Problem, text: str) -> Iterator[tuple[str, list[str]]]:
    """The lines of a response that are steps, each with the path that it completes as the domain would write it.

    A line is a step if the domain completes it from where the attempt stands, or from the start.
    """
    verifier, path = get_verifier(problem.verifier), list[str]()
    for line in map(str.strip, text.splitlines()):
        for before in (path, []):
            if (written := verifier.complete_step(problem, before, line)) is not None:
                path = [*before, written]
                yield line, path
                break
        if verifier.is_terminal(problem, path):
            path = []


def exact_steps(responses: Iterable[Answered]) -> float:
    """Share of the steps that stand as the domain would write them; NaN without steps."""
    exact = [line == path[-1] for problem, text, _ in responses for line, path in _steps(problem, text)]
    return sum(exact) / len(exact) if exact else nan


def passed_over(responses: Iterable[Answered]) -> float:
    """Share of the attempts that reach a right answer but are not answered with it; NaN without one that does."""
    missed = [not end.answered for response in responses for end in _ends(*response) if end.right]
    return sum(missed) / len(missed) if missed else nan


def answered_by_match(responses: Iterable[Answered]) -> dict[Met, tuple[int, float]]:
    """Exact tests by which of their values are the wanted ones: their number, and the share that is answered with.

    Empty in a domain whose facts name no values `found` and `wanted`.
    """
    tests: dict[Met, list[bool]] = {}
    for problem, text, outcome in responses:
        for end in _ends(problem, text, outcome):
            met = met_by(get_verifier(problem.verifier).facts(problem, end.path))
            if end.exact and met is not None:
                tests.setdefault(met, []).append(end.answered)
    return {met: (len(answered), sum(answered) / len(answered)) for met, answered in sorted(tests.items())}


def met_by(facts: Mapping[str, str]) -> Met | None:
    """Which of the values `found` are those `wanted`; None without such facts."""
    if not {"found", "wanted"} <= facts.keys():
        return None
    comma = " , " if " , " in facts["found"] else " "
    return tuple(map(eq, facts["found"].split(comma), facts["wanted"].split(comma)))


def named(met: Met) -> str:
    """The values that are the wanted ones, counted from 1."""
    return " and ".join(str(place) for place, one in enumerate(met, 1) if one) or "none"


class _End(NamedTuple):
    """The end of an attempt."""

    path: list[str]
    exact: bool
    """Whether its last step stands as the domain would write it."""
    right: bool
    answered: bool
    """Whether the response answers with it: nothing follows it, and the outcome is that of this attempt."""


def _ends(problem: Problem, text: str, outcome: Outcome) -> list[_End]:
    verifier = get_verifier(problem.verifier)
    paths = [(line, path) for line, path in _steps(problem, text) if verifier.is_terminal(problem, path)]
    ends = []
    for number, (line, path) in enumerate(paths, 1):
        right = verifier.value(problem, path) == 1
        own = Outcome.CORRECT if right else Outcome.INCORRECT
        ends.append(_End(path, line == path[-1], right, number == len(paths) and outcome is own))
    return ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="SPEC:STAGE of a built evaluate stage")
    parser.add_argument("--arm", required=True, help="the arm that makes several attempts in a response")
    parser.add_argument("--base", required=True, help="the arm whose samples are the independent attempts")
    parser.add_argument("--most", type=int, default=8, help="how many attempts to show (default: 8)")
    parser.add_argument("--set", action="append", help="as in astro-factory build")
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    spec, graph, stage = read_target(options.target, options.set, None)
    store, config = open_store(options.store), graph.nodes[stage].config
    if unknown := [name for name in (options.arm, options.base) if name not in config.arms]:
        parser.error(f"'{unknown[0]}' is not an arm of '{stage}'; its arms are {', '.join(config.arms)}")
    if options.most > config.samples_of(options.base):
        parser.error(f"--most is at most {config.samples_of(options.base)}, the number of samples of '{options.base}'")
    results = built_results(graph, spec, store, stage, config.suite.problems)
    folders = {name: store.output(result) for name, result in results.items()}
    evaluation = Evaluation(graph.name, stage, results[stage], config, folders[stage], folders)
    samples = by_problem(read_table(folders[stage] / "samples.parquet"))
    correct = [sum(row["outcome"] == Outcome.CORRECT for row in arms[options.base]) for arms in samples]
    alone = independent(correct, config.samples_of(options.base), options.most)
    answers = {
        arm: [
            (evaluation.problems[key], row["text"], Outcome(row["outcome"]))
            for key, rows in evaluation.samples_of(arm).items()
            for row in rows
        ]
        for arm in (options.arm, options.base)
    }
    puzzles = [
        (evaluation.problems[rows[0]["source"], rows[0]["problem"]], rows)
        for arms in samples
        for rows in [arms[options.base]]
    ]
    repeats = independent_repeats(puzzles, options.most)
    print(f"{'':14} {'correct':>22} {'':11} {'repeated':>22}")
    print(f"{'attempt':>7} {'made':>6} {'independent':>11} {'in context':>10} {'let through':>11}", end="")
    print(f" {'independent':>11} {'in context':>10}")
    for number, (chance, repeat, own) in enumerate(
        zip(alone, repeats, in_context(answers[options.arm], options.most), strict=True), 1
    ):
        print(f"{number:7} {own.made:6} {chance:11.3f} {own.right:10.3f} {own.let_through:11.3f}", end="")
        print(f" {repeat:11.3f} {own.repeated:10.3f}")
    print("exact steps: " + ", ".join(f"{arm} {exact_steps(rows):.3f}" for arm, rows in answers.items()))
    print(f"right attempts passed over: {options.arm} {passed_over(answers[options.arm]):.3f}")
    for met, (tests, share) in answered_by_match(answers[options.arm]).items():
        print(f"answers with an exact test that meets {named(met)}: {share:.4f} of {tests}")


if __name__ == "__main__":
    main()
