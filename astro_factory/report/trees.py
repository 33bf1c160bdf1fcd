"""Search trees as columns, each with its traces rendered by every template of the spec."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import UserError
from astro_factory.core.step_format import LINES, StepLayout
from astro_factory.core.tables import read_batches
from astro_factory.core.trees import Tree, step_format_of
from astro_factory.core.verdicts import Outcome
from astro_factory.report.built import BuiltSpec, BuiltStage, Section
from astro_factory.report.samples import cut
from astro_factory.report.votes import votes_on
from astro_factory.traces.render import render
from astro_factory.traces.template_renderer import TemplateRenderer

_NODE_COLUMNS = ("parent", "text", "prior", "visits", "value", "rollouts", "terminal", "verdict", "answer", "closing")
_DIGITS = 4


@dataclass(frozen=True)
class Trace:
    """A trace as its table has it."""

    stage: str
    row: int
    """Its place in the table."""
    sequence: Sequence[int]
    seed: int
    backtracks: int
    segments: Sequence[Mapping[str, object]]


def trees_of(spec: BuiltSpec, stage: BuiltStage, most: int) -> Section:
    """The trees of a search stage, at most so many, evenly over the table, each with its traces."""
    path = stage.folder / TABLE_FILES[ArtifactType.TREES]
    total = stage.table(["tokens"]).num_rows
    every = -(-total // most) if most else 1
    trees = list(_every(path, every))
    made = [other for other in spec.of_type(ArtifactType.TRACES) if stage.name in other.node.references]
    traces = _traces(made, {tree.problem.id for tree in trees})
    templates = dict(_templates(made))
    layout = step_format_of(path) or LINES
    renderers = {name: TemplateRenderer(source) for name, source in templates.items()}
    votes = votes_on(spec, stage)
    return {
        "total": total,
        "shown": len(trees),
        "templates": list(templates),
        "trees": [
            {
                **_tree(tree, traces.get(tree.problem.id, []), renderers, layout),
                "votes": votes.get(tree.problem.id, {}),
            }
            for tree in trees
        ],
    }


def _every(path: Path, every: int) -> Iterator[Tree]:
    """Every so many-th tree of a table; the others are not decoded."""
    passed = 0
    for batch in read_batches(path, 2000, ["problem", "nodes", "tokens", "iterations"]):
        wanted = range(-passed % every, batch.num_rows, every)
        yield from map(Tree.from_row, batch.take(list(wanted)).to_pylist())
        passed += batch.num_rows


def _templates(made: Sequence[BuiltStage]) -> Iterator[tuple[str, TemplateSource]]:
    for stage in made:
        source = getattr(stage.node.config, "template", None)
        if isinstance(source, TemplateSource):
            yield source.entry, source


def _traces(made: Sequence[BuiltStage], wanted: set[str]) -> dict[str, list[Trace]]:
    found: dict[str, list[Trace]] = defaultdict(list)
    columns = ["problem_id", "node_sequence", "seed", "num_backtracks", "segments"]
    for stage in made:
        for place, row in enumerate(_rows(stage.folder / TABLE_FILES[ArtifactType.TRACES], columns, wanted)):
            if row:
                trace = Trace(
                    stage.name, place, row["node_sequence"], row["seed"], row["num_backtracks"], row["segments"]
                )
                found[row["problem_id"]].append(trace)
    return found


def _rows(path: Path, columns: list[str], wanted: set[str]) -> Iterator[dict]:
    """The rows of the wanted problems; an empty one for each of the others."""
    import pyarrow as pa
    from pyarrow import compute

    names = pa.array(sorted(wanted))
    for batch in read_batches(path, 2000, columns):
        hits = compute.is_in(batch.column("problem_id"), value_set=names)  # pyright: ignore[reportAttributeAccessIssue]
        rows = iter(batch.filter(hits).to_pylist())
        for hit in hits.to_pylist():
            yield next(rows) if hit else {}


def _tree(
    tree: Tree, traces: Sequence[Trace], renderers: Mapping[str, TemplateRenderer], layout: StepLayout
) -> Section:
    """One tree by columns; numbers are rounded for the eye."""
    nodes: dict[str, list] = {name: [_shown(getattr(node, name)) for node in tree.nodes] for name in _NODE_COLUMNS}
    return {
        "id": tree.problem.id,
        "question": tree.problem.question,
        "answer": tree.problem.answer,
        "level": tree.problem.level,
        "size": len(tree.nodes),
        "right": sum(node.verdict == Outcome.CORRECT for node in tree.nodes),
        "tokens": tree.tokens,
        "iterations": tree.iterations,
        "nodes": nodes,
        "traces": [_trace(tree, trace, renderers, layout) for trace in traces],
    }


def _shown(value: object) -> object:
    if isinstance(value, float):
        return round(value, _DIGITS)
    return cut(value) if isinstance(value, str) else value


def _trace(tree: Tree, trace: Trace, renderers: Mapping[str, TemplateRenderer], layout: StepLayout) -> Section:
    texts = {}
    for name, renderer in renderers.items():
        try:
            segments = render(tree, trace.sequence, renderer, trace.seed, layout)
        except UserError:
            continue  # a template need not fit every sequence
        texts[name] = [_segment(tree, kind, text, node) for kind, text, node, _, _ in segments]
    stored = [_segment(tree, str(s["kind"]), str(s["text"]), s["node"]) for s in trace.segments]
    return {
        "stage": trace.stage,
        "row": trace.row,
        "sequence": list(trace.sequence),
        "backtracks": trace.backtracks,
        "segments": stored,
        "texts": {name: found for name, found in texts.items() if found != stored},
    }


def _segment(tree: Tree, kind: str, text: str, node: object) -> list[object]:
    """Kind, node and text; the text of a step is left out where it is its node's."""
    if isinstance(node, int) and kind == "step" and text == tree.nodes[node].text:
        return [kind, node]
    return [kind, node, cut(text)]
