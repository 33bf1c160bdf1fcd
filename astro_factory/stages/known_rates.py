"""Pass rates of problems that are known before reinforcement learning: of `pass_rate`, or of search trees."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.core.trees import read_trees
from astro_factory.stages.problems.pass_rate import RATES_FILE
from astro_factory.traces.terminals import Terminals

if TYPE_CHECKING:
    from astro_factory.training.difficulty import Tally


def known_rates(source: str, folder: Path, problems: list[Problem], group_size: int) -> "Mapping[int, Tally]":
    """The rate of each problem that the artifact `source` in `folder` knows, by the problem's index.

    It counts as many responses as were judged, and at most as many as a group has: the policy of then is another one.
    Raises `UserError` E525 if the artifact has no rates, E526 if it knows none of the problems.
    """
    from astro_factory.training.difficulty import Tally

    found = {name: (rate, count) for name, rate, count in _rates(source, folder)}
    known = {}
    for index, problem in enumerate(problems):
        if problem.id in found:
            rate, count = found[problem.id]
            weight = min(count, group_size)
            known[index] = Tally(rate * weight, weight)
    if not known:
        cause = f"difficulty.rates names '{source}', which knows none of the {len(problems)} problems"
        raise UserError.of("E526", cause, "name what was made from these problems, or leave rates out")
    return known


def _rates(source: str, folder: Path) -> Iterator[tuple[str, float, int]]:
    """Id, rate and number of judged ends of each problem that has any."""
    trees, rates = folder / TABLE_FILES[ArtifactType.TREES], folder / RATES_FILE
    if trees.is_file():
        for tree in read_trees(trees):
            weights = Terminals(tree).weights
            if weights:
                right = sum(weight for index, weight in weights.items() if tree.nodes[index].verdict == "correct")
                yield tree.problem.id, right / sum(weights.values()), len(weights)
    elif rates.is_file():
        yield from ((row["id"], row["solved"], row["judged"]) for row in read_table(rates) if row["judged"])
    else:
        cause = f"difficulty.rates names '{source}', which has no pass rates"
        raise UserError.of("E525", cause, "name a source of kind pass_rate, or search trees")
