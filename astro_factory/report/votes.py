"""The votes of judge stages: which right ends of the trees a model trusts, and which wrong ones it lets through."""

from collections import Counter
from collections.abc import Mapping

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.trees import Tree, read_trees
from astro_factory.core.verdicts import Outcome
from astro_factory.report.built import BuiltSpec, BuiltStage, Section
from astro_factory.report.filters import Row
from astro_factory.report.rows import rows_of
from astro_factory.report.samples import cut


def votes_of(spec: BuiltSpec, stage: BuiltStage, most: int = 1000) -> Section:
    """Counts of all ends by verdict and votes in favour, and some ends with their solutions: at most so many of each
    verdict, those that the judge is most wrong about first."""
    rows = rows_of(stage)
    counts, shown = {}, []
    for verdict in sorted({str(row["verdict"]) for row in rows}):
        own = [row for row in rows if row["verdict"] == verdict]
        counts[verdict] = sorted(Counter(map(_in_favour, own)).items())
        shown += sorted(own, key=_in_favour, reverse=verdict != Outcome.CORRECT)[:most]
    trees = _trees(spec, stage, {str(row["problem"]) for row in shown})
    return {
        "stage": stage.name,
        "trees": _searched(spec, stage),
        "total": len(rows),
        "shown": len(shown),
        "counts": counts,
        "ends": [{**row, **_solution(trees.get(str(row["problem"])), int(str(row["node"])))} for row in shown],
    }


def _in_favour(row: Row) -> int:
    return int(str(row["in_favour"]))


def votes_on(spec: BuiltSpec, trees: BuiltStage) -> Mapping[str, dict[int, str]]:
    """By problem, the votes on the ends of its tree as text, such as `5 of 8`; of the first judge of these trees."""
    found: dict[str, dict[int, str]] = {}
    for stage in spec.of_type(ArtifactType.VOTES):
        if _searched(spec, stage) == trees.name:
            for row in rows_of(stage):
                votes = found.setdefault(str(row["problem"]), {})
                votes[int(str(row["node"]))] = f"{row['in_favour']} of {row['votes']}"
            break
    return found


def tree_of(spec: BuiltSpec, stage: BuiltStage, problem: str) -> Tree | None:
    """The tree of a problem that a judge stage votes on, where the store holds it."""
    return _trees(spec, stage, {problem}).get(problem)


def _trees(spec: BuiltSpec, stage: BuiltStage, wanted: set[str]) -> dict[str, Tree]:
    search = spec.stages.get(_searched(spec, stage))
    if search is None:
        return {}
    table = search.folder / TABLE_FILES[ArtifactType.TREES]
    return {tree.problem.id: tree for tree in read_trees(table) if tree.problem.id in wanted}


def _solution(tree: Tree | None, end: int) -> Section:
    if tree is None:
        return {"question": "", "steps": []}
    steps = [tree.nodes[index].text for index in tree.path(end)]
    closing = tree.nodes[end].closing
    return {"question": cut(tree.problem.question), "steps": list(map(cut, [*steps, closing] if closing else steps))}


def _searched(spec: BuiltSpec, stage: BuiltStage) -> str:
    """The stage whose trees a judge votes on."""
    return next(name for name in stage.node.references if spec.graph.nodes[name].output is ArtifactType.TREES)
