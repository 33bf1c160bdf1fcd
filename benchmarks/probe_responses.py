"""Where countdown responses or traces go back to, whether that helps, and why answers are wrong.

    python -m benchmarks.probe_responses specs/ablations/merge_point.yaml:sft_report --set stages.traces.merge=root
    python -m benchmarks.probe_responses specs/quickstart.yaml:traces

The stage, an `evaluate` of fine-tuned models or a `linearize`, must be built. Prints one line of JSON:

    returns         backtracks per response, to a state that it has visited
    start           share of these that go back to the start
    sound           share of the others whose state can still lead to the target, by exhaustive search
    next_right      share of the following attempts that end correct: from the start, a sound or an unsound state;
                    attempts cut off by the token limit are left out
    wrong           wrong answers per response
    false_step      share of these after a last step with a false result or false remaining numbers
    false_check     share of these after a check that gives 0 only because it uses another target than the puzzle's
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from astro_factory.cli.options import built_results, open_store, read_target
from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import TemplateSource
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_columns, read_table
from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.evaluation_results import Evaluation
from astro_factory.stages import linearize
from astro_factory.traces.response_parser import ResponseParser
from astro_factory.verifiers.countdown import DEFAULT_MAX_VALUE, calculate

_STEP = re.compile(r"^(\d+) ([-+*/]) (\d+) = (\d+) left (.*)$", re.MULTILINE)
_PASSED = re.compile(r"(\d+) - (\d+) = 0\b")


class Response(NamedTuple):
    """A text that goes back or not, and how it ends."""

    problem: Problem
    text: str
    right: bool = True
    cut_off: bool = False

    @property
    def wrong(self) -> bool:
        """Whether it gives a wrong answer."""
        return not self.right and bool(self.text) and self.text.splitlines()[-1].startswith("answer")

    @property
    def stepped_falsely(self) -> bool:
        """Whether its last step states another result than it has, or does not leave what it states."""
        *_, last = _STEP.findall(self.text) or [None]
        if last is None:
            return False
        left, operator, right, result, numbers = last
        true = calculate(int(left), operator, int(right), DEFAULT_MAX_VALUE) == int(result)
        return not true or result not in numbers.split()

    @property
    def checked_falsely(self) -> bool:
        """Whether the check before the answer is passed by leaving out the puzzle's target."""
        passed = _PASSED.search("\n".join(self.text.splitlines()[-2:-1]))
        return passed is not None and str(self.problem.info["target"]) not in passed.groups()


@cache
def solvable(numbers: tuple[int, ...], target: int) -> bool:
    """Whether the numbers, in ascending order, can be joined to the target, each used once."""
    if len(numbers) == 1:
        return numbers[0] == target
    for i, j in combinations(range(len(numbers)), 2):
        rest = [number for k, number in enumerate(numbers) if k not in (i, j)]
        for operator in "+-*/":
            for left, right in ((numbers[i], numbers[j]), (numbers[j], numbers[i])):
                result = calculate(left, operator, right, DEFAULT_MAX_VALUE)
                if result is not None and solvable(tuple(sorted([*rest, result])), target):
                    return True
    return False


def returns(parser: ResponseParser, response: Response) -> Iterator[tuple[str, bool | None]]:
    """For each backtrack the kind of state, and whether the next attempt is correct; None if it was cut off."""
    graph = parser.parse(response.text, response.problem.question)
    places = [state for _, state in graph.jumps()]
    target = response.problem.info["target"]
    for index, state in enumerate(places):
        kind = "start"
        if state:
            left = graph.texts[state].rpartition(" left ")[2].split()
            if not left or not all(number.isdecimal() for number in left):
                continue  # a line that only looks like a step
            numbers = tuple(sorted(int(number) for number in left))
            kind = "sound" if solvable(numbers, target) else "unsound"
        last = index == len(places) - 1
        yield kind, None if last and response.cut_off else last and response.right


def figures(template: TemplateSource, responses: Iterator[Response]) -> dict[str, Any]:
    """All figures of the responses that speak as the template does."""
    parser = ResponseParser(template, lambda line: " left " in line)
    kinds, judged, right, counts = Counter(), Counter(), Counter(), Counter()
    for response in responses:
        counts["all"] += 1
        if response.wrong:
            counts["wrong"] += 1
            counts["false_step"] += response.stepped_falsely
            counts["false_check"] += response.checked_falsely
        for kind, ok in returns(parser, response):
            kinds[kind] += 1
            judged[kind] += ok is not None
            right[kind] += bool(ok)
    wrong = counts["wrong"]
    others = kinds["sound"] + kinds["unsound"]
    return {
        "returns": round(kinds.total() / counts["all"], 3),
        "start": round(kinds["start"] / kinds.total(), 3) if kinds else None,
        "sound": round(kinds["sound"] / others, 3) if others else None,
        "next_right": {kind: round(right[kind] / n, 3) for kind, n in sorted(judged.items()) if n},
        "wrong": round(wrong / counts["all"], 3),
        **{name: round(counts[name] / wrong, 3) if wrong else None for name in ("false_step", "false_check")},
    }


def traces(trees: Path, made: Path) -> Iterator[Response]:
    """What a `linearize` made of trees, by the folders of both."""
    rows = read_columns(trees / TABLE_FILES[ArtifactType.TREES], ["problem"])
    problems = {row["problem"]["id"]: Problem.from_row(row["problem"]) for row in rows}
    for row in read_table(made / TABLE_FILES[ArtifactType.TRACES]):
        yield Response(problems[row["problem_id"]], row["messages"][-1]["content"])


def answers(evaluation: Evaluation, arm: str) -> Iterator[Response]:
    """What an arm answered in an `evaluate`."""
    for asked, samples in evaluation.samples_of(arm).items():
        for row in samples:
            right, cut_off = row["outcome"] == Outcome.CORRECT, row["finish"] == "length"
            yield Response(evaluation.problems[asked], row["text"], right, cut_off)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="SPEC:STAGE")
    parser.add_argument("--arm", default="astro_sft", help="whose responses, where the stage is an evaluation")
    parser.add_argument("--set", action="append", help="as in astro-factory build")
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    spec, graph, stage = read_target(options.target, options.set, None)
    store, config = open_store(options.store), graph.nodes[stage].config
    of_traces = isinstance(config, linearize.Config)
    inputs = [config.trees] if of_traces else config.suite.problems
    results = built_results(graph, spec, store, stage, inputs)
    folders = {name: store.output(result) for name, result in results.items()}
    if of_traces:
        found = figures(config.template, traces(folders[config.trees], folders[stage]))
    else:
        evaluation = Evaluation(graph.name, stage, results[stage], config, folders[stage], folders)
        found = figures(config.backtracks, answers(evaluation, options.arm))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
