"""What reinforcement learning asks besides its problems: states of search trees; and the pass rates known before it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.problems import Problem
from astro_factory.core.step_format import LINES
from astro_factory.core.tables import read_table
from astro_factory.core.trees import read_trees, step_format_of
from astro_factory.stages.problems.pass_rate import RATES_FILE
from astro_factory.traces.tree_states import Ends, TreeState, ends_below, undecided_states

if TYPE_CHECKING:
    from astro_factory.training.difficulty import Tally


def states_of(source: str, folder: Path) -> list[TreeState]:
    """The states of the trees artifact `source` in `folder` below which there are right and wrong ends.

    Raises `UserError` E527 if there is none.
    """
    path = folder / TABLE_FILES[ArtifactType.TREES]
    layout = step_format_of(path) or LINES
    states = [state for tree in read_trees(path) for state in undecided_states(tree, layout)]
    if not states:
        cause = f"start_from names '{source}', but no node of these trees has right and wrong ends below it"
        raise UserError.of("E527", cause, "search longer, or with more branches, or leave start_from out")
    return states


def known_rates(source: str, folder: Path, problems: Sequence[Problem], group_size: int) -> "Mapping[int, Tally]":
    """The rate of each problem that the artifact `source` in `folder` knows, by the problem's index.

    Raises `UserError` E525 if the artifact has no rates, E526 if it knows none of the problems.
    """
    found = dict(_rates(source, folder))
    known = {i: tally_of(found[problem.id], group_size) for i, problem in enumerate(problems) if problem.id in found}
    if not known:
        cause = f"difficulty.rates names '{source}', which knows none of the {len(problems)} problems"
        raise UserError.of("E526", cause, "name what was made from these problems, or leave rates out")
    return known


def without_rates(source: str) -> Diagnostic:
    """The error for a source without pass rates."""
    cause = f"difficulty.rates names '{source}', which has no pass rates"
    return Diagnostic("E525", cause, "name a source of kind pass_rate, or search trees")


def tally_of(ends: Ends, group_size: int) -> "Tally":
    """A known rate; it counts as at most one group, because the policy of then is another one."""
    from astro_factory.training.difficulty import Tally

    weight = min(ends.number, group_size)
    return Tally(ends.rate * weight, weight)


def _rates(source: str, folder: Path) -> Iterator[tuple[str, Ends]]:
    """The ids of problems and what is known about them."""
    trees, rates = folder / TABLE_FILES[ArtifactType.TREES], folder / RATES_FILE
    if trees.is_file():
        for tree in read_trees(trees):
            if ends := ends_below(tree).get(0):
                yield tree.problem.id, ends
    elif rates.is_file():
        yield from ((row["id"], Ends(row["solved"], row["judged"])) for row in read_table(rates) if row["judged"])
    else:
        raise UserError(without_rates(source))
