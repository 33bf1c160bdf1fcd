"""The rows of an output with the keys that a person filters by, whatever the columns of its table are called."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.errors import UserError
from astro_factory.core.verdicts import Outcome
from astro_factory.core.votes import wins
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.samples import MEASURES
from astro_factory.report.built import BuiltStage
from astro_factory.report.filters import Condition, Row, matching

if TYPE_CHECKING:
    from pyarrow import Table

_SAMPLE_KEYS: Mapping[str, type] = {
    "arm": str,
    "verdict": str,
    "problem": str,
    "source": str,
    "level": str,
    "sample": int,
    "tokens": int,
    **dict.fromkeys(MEASURES, int),
    "truncated": bool,
    "answer": str,
    "solved_by": frozenset,
    "missed_by": frozenset,
}
_KEYS: Mapping[ArtifactType, Mapping[str, type]] = {
    ArtifactType.PROBLEMS: {"problem": str, "level": str, "verifier": str, "answer": str},
    ArtifactType.TREES: {"problem": str, "solved": bool, "correct": int, "incorrect": int, "nodes": int, "tokens": int},
    ArtifactType.VOTES: {
        "problem": str,
        "node": int,
        "verdict": str,
        "answer": str,
        "votes": int,
        "in_favour": int,
        "majority": bool,
        "unanimous": bool,
    },
    ArtifactType.TRACES: {"problem": str, "backtracks": int, "wrong": int, "steps": int, "characters": int},
    ArtifactType.MODEL: {"step": int, "problem": str, "verdict": str, "reward": float, "characters": int},
    ArtifactType.REPORT: _SAMPLE_KEYS,
}


def row_keys(stage: BuiltStage) -> Mapping[str, type]:
    """The keys of a stage's rows with their types. Raises `UserError` E167 for an output without rows."""
    keys = _KEYS.get(stage.node.output)
    if keys is None or not (stage.table_file or stage.rollouts):
        cause = f"'{stage.name}' makes {stage.node.output}, which has no rows to choose from"
        raise UserError.of(
            "E167",
            cause,
            "name a stage that makes problems, trees, votes, traces or a report, or a model with rollouts",
        )
    return keys


def rows_of(stage: BuiltStage) -> list[Row]:
    """Every row by its keys, in the order of the table; `row` is its place there."""
    row_keys(stage)
    makers: dict[ArtifactType, Callable[[BuiltStage], Iterator[Row]]] = {
        ArtifactType.PROBLEMS: _problems,
        ArtifactType.TREES: _trees,
        ArtifactType.VOTES: _votes,
        ArtifactType.TRACES: _traces,
        ArtifactType.MODEL: _rollouts,
        ArtifactType.REPORT: _samples,
    }
    return [{"row": place, **row} for place, row in enumerate(makers[stage.node.output](stage))]


def full_row(stage: BuiltStage, number: int) -> dict[str, Any]:
    """All of a row: its columns in the table or, for a model, the rollout."""
    if stage.node.output is ArtifactType.MODEL:
        return [rollout for point in stage.rollouts for rollout in point["rollouts"]][number]
    return stage.table().slice(number, 1).to_pylist()[0]


def filter_rows(stage: BuiltStage, conditions: Sequence[Condition]) -> list[Row]:
    """The rows that meet every condition."""
    return matching(rows_of(stage), conditions)


def _columns(table: "Table", names: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """Rows with the columns under other names."""
    columns = [table.column(name).to_pylist() for name in names.values()]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _problems(stage: BuiltStage) -> Iterator[Row]:
    names = {"problem": "id", "level": "level", "verifier": "verifier", "answer": "answer"}
    return _columns(stage.table(names.values()), names)


def _trees(stage: BuiltStage) -> Iterator[Row]:
    nodes = "nodes.list.element"
    for row in stage.table(["problem.id", f"{nodes}.verdict", f"{nodes}.terminal", "tokens"]).to_pylist():
        ends = [node["verdict"] for node in row["nodes"] if node["terminal"]]
        correct, incorrect = ends.count(Outcome.CORRECT), ends.count(Outcome.INCORRECT)
        yield {
            "problem": row["problem"]["id"],
            "solved": correct > 0,
            "correct": correct,
            "incorrect": incorrect,
            "nodes": len(row["nodes"]),
            "tokens": row["tokens"],
        }


def _votes(stage: BuiltStage) -> Iterator[Row]:
    """The voted ends; a table without verdicts has correct ends alone."""
    for row in stage.table().to_pylist():
        votes, in_favour = row["votes"], row["in_favour"]
        yield {
            "problem": row["problem_id"],
            "node": row["node"],
            "verdict": row.get("verdict", Outcome.CORRECT.value),
            "answer": row.get("answer", ""),
            "votes": votes,
            "in_favour": in_favour,
            "majority": wins(votes, in_favour, unanimous=False),
            "unanimous": wins(votes, in_favour, unanimous=True),
        }


def _traces(stage: BuiltStage) -> Iterator[Row]:
    names = {"problem": "problem_id", "backtracks": "num_backtracks", "wrong": "num_wrong", "segments": "segments"}
    for row in _columns(stage.table(names.values()), names):
        segments = row.pop("segments")
        assert isinstance(segments, list)
        steps = sum(segment["kind"] == "step" for segment in segments)
        yield {**row, "steps": steps, "characters": segments[-1]["end"] if segments else 0}


def _rollouts(stage: BuiltStage) -> Iterator[Row]:
    """The responses that reinforcement learning kept of some steps."""
    for point in stage.rollouts:
        for found in point["rollouts"]:
            shown = {name: found[name] for name in ("problem", "verdict", "reward")}
            yield {"step": point["step"], **shown, "characters": len(found["text"])}


def _samples(stage: BuiltStage) -> Iterator[Row]:
    own = ("finish", "outcome", "extracted", "solved_by", "missed_by", "truncated", "verdict", "answer")
    names = {name: name for name in _SAMPLE_KEYS if name not in own}
    names |= {"verdict": "outcome", "answer": "extracted", "finish": "finish"}
    rows = list(_columns(stage.table(names.values()), names))
    comparison = stage.node.config
    assert isinstance(comparison, Comparison)
    solved = solved_by(rows, comparison)
    arms = frozenset(comparison.arms)
    for row in rows:
        own_solved = frozenset(solved[str(row["source"]), str(row["problem"])])
        truncated = row.pop("finish") == "length"
        yield {**row, "truncated": truncated, "solved_by": own_solved, "missed_by": arms - own_solved}


def solved_by(rows: Sequence[Row], comparison: Comparison) -> dict[tuple[str, str], Collection[str]]:
    """For each problem the arms that solve it: at least half of the samples that the report counts are correct."""
    counts: dict[tuple[str, str], dict[str, list[int]]] = {}
    for row in rows:
        arms = counts.setdefault((str(row["source"]), str(row["problem"])), {})
        number = row["sample"]
        if isinstance(number, int) and number < comparison.suite.samples:
            entry = arms.setdefault(str(row["arm"]), [0, 0])
            entry[0] += row["verdict"] == Outcome.CORRECT
            entry[1] += 1
    return {name: {arm for arm, (right, all_) in arms.items() if 2 * right >= all_} for name, arms in counts.items()}
