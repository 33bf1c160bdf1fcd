"""What a person asks of an output first: how much there is, what it is like, two examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.weight_files import count_values
from astro_factory.report.built import BuiltStage, Section
from astro_factory.report.data import histogram, problem_facts, trace_facts
from astro_factory.report.rows import rows_of
from astro_factory.report.training import curve_of

_BARS = "▁▂▃▄▅▆▇█"
_LISTED = 10
SHOWN_MEASURES = (
    "reward",
    "loss",
    "verdict/correct",
    "length",
    "backtracks",
    "entropy",
    "accuracy",
    "mean_token_accuracy",
)
"""Measures of the training curves that a short view shows, the most telling first."""


@dataclass
class Summary:
    """A summary for the terminal and, as `facts`, for machines."""

    facts: Section = field(default_factory=dict)
    """Name to a number, a text or, for counts by value, a mapping."""
    sparklines: dict[str, str] = field(default_factory=dict)
    examples: list[int] = field(default_factory=list)
    """Places of rows worth a look, which the caller prints in full."""
    rows: list[Section] = field(default_factory=list)
    """Rows for a short table."""
    next: str = ""
    """Options of `show` that lead further."""


def summary_of(stage: BuiltStage) -> Summary:
    """The summary of any output."""
    makers: dict[ArtifactType, Callable[[BuiltStage], Summary]] = {
        ArtifactType.PROBLEMS: _problems,
        ArtifactType.TREES: _trees,
        ArtifactType.VOTES: _votes,
        ArtifactType.TRACES: _traces,
        ArtifactType.MODEL: _model,
        ArtifactType.REPORT: _report,
        ArtifactType.PUBLICATION: _publication,
    }
    maker = makers.get(stage.node.output, _table)
    return maker(stage)


def sparkline(values: Sequence[float | None], width: int = 48) -> str:
    """Values as a line of bars, thinned to a width."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    every = -(-len(known) // width)
    groups = [known[start : start + every] for start in range(0, len(known), every)]
    means = [sum(group) / len(group) for group in groups]
    low, span = min(means), max(means) - min(means)
    return "".join(_BARS[int((mean - low) / span * 7.99) if span else 0] for mean in means)


def _problems(stage: BuiltStage) -> Summary:
    found = problem_facts(stage)
    facts = {"problems": found["rows"], "repeated": found["duplicates"]}
    facts |= {name: dict(counts) for name, counts in found["counts"].items()}
    return Summary(facts, examples=[0, 1, 2][: found["rows"]], next="--sample N, --problem ID, --filter level=…")


def _trees(stage: BuiltStage) -> Summary:
    rows = rows_of(stage)
    counts: dict[str, list[int]] = {name: [int(str(row[name])) for row in rows] for name in _TREE_COUNTS}
    facts: Section = {"trees": len(rows), "solved": sum(bool(row["solved"]) for row in rows)}
    facts["with right and wrong ends"] = sum(
        bool(right and wrong) for right, wrong in zip(counts["correct"], counts["incorrect"], strict=True)
    )
    facts |= {"nodes": sum(counts["nodes"]), "sampled tokens": sum(counts["tokens"])}
    lines = {"nodes": _bars(counts["nodes"]), "sampled tokens": _bars(counts["tokens"])}
    worth = sorted(range(len(rows)), key=lambda place: -min(counts["correct"][place], counts["incorrect"][place]))
    return Summary(
        facts,
        lines,
        rows=[dict(rows[place]) for place in worth[:_LISTED]],
        next="--tree ID, --tree, --filter solved=no",
    )


_TREE_COUNTS = ("correct", "incorrect", "nodes", "tokens")


def _votes(stage: BuiltStage) -> Summary:
    rows = rows_of(stage)
    facts: Section = {"ends": len(rows), "problems": len({row["problem"] for row in rows})}
    lines = {}
    for verdict in dict.fromkeys(str(row["verdict"]) for row in rows):
        own = [row for row in rows if row["verdict"] == verdict]
        facts[f"{verdict} ends"] = {"all": len(own)} | {
            rule: sum(bool(row[rule]) for row in own) for rule in ("majority", "unanimous")
        }
        lines[f"{verdict} ends by votes in favour"] = _bars([int(str(row["in_favour"])) for row in own])
    let_through = [number for number, row in enumerate(rows) if row["verdict"] != "correct" and row["majority"]]
    return Summary(
        facts, lines, let_through[:2], next="--filter verdict=incorrect,majority=yes, --sample N, --problem ID"
    )


def _traces(stage: BuiltStage) -> Summary:
    found, rows = trace_facts(stage), rows_of(stage)
    facts = {"traces": found["rows"], "repeated": found["duplicates"], **found["figures"]}
    facts |= {name: dict(found["counts"][name]) for name in ("backtracks", "wrong branches")}
    lines = {"characters": _bars([int(str(row["characters"])) for row in rows])}
    most = max(range(len(rows)), key=lambda place: int(str(rows[place]["backtracks"])), default=None)
    examples = [] if most is None else [0, most] if most else [0]
    return Summary(facts, lines, examples, next="--sample N, --problem ID, --filter backtracks=3")


def _model(stage: BuiltStage) -> Summary:
    config, pointer = stage.json("config.json"), stage.json("hub.json")
    facts: Section = dict(pointer)
    if config:
        facts["architecture"] = ", ".join(config.get("architectures") or [config.get("model_type", "unknown")])
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings")
        facts |= {name.replace("_", " "): config[name] for name in names if name in config}
    if parameters := _parameters(stage):
        facts["parameters"] = parameters
    curve = curve_of(stage)
    lines = {}
    if curve:
        facts["points of the curves"] = len(stage.curve)
        for name in [name for name in SHOWN_MEASURES if name in curve["series"]][:5]:
            known = [value for value in curve["series"][name] if value is not None]
            facts[name] = f"{known[0]:.4g} to {known[-1]:.4g}"
            lines[name] = sparkline(known)
    shown = [point["step"] for point in stage.rollouts]
    return Summary(facts, lines, next=f"--filter step={shown[-1]}, --sample N" if shown else "")


def _parameters(stage: BuiltStage) -> int:
    """Parameters of the weights, from the heads of the safetensors files; 0 where there are none."""
    total = 0
    for name in stage.result.outputs:
        if name.endswith(".safetensors"):
            total += count_values(stage.folder / name)
    return total


def _report(stage: BuiltStage) -> Summary:
    rows = stage.table(["arm"]).num_rows if stage.table_file else 0
    return Summary({"samples": rows}, next="--all, --sample N, --problem ID, --filter solved_by=ARM,missed_by=ARM")


def _publication(stage: BuiltStage) -> Summary:
    found = stage.json("publication.json")
    files = found.get("files", {})
    facts = {name: value for name, value in found.items() if isinstance(value, str | int)}
    return Summary({**facts, "files": len(files) if isinstance(files, dict | list) else files})


def _table(stage: BuiltStage) -> Summary:
    return Summary({"rows": stage.table().num_rows} if stage.table_file else {})


def _bars(values: Sequence[int]) -> str:
    """A distribution as a line of bars with its ends."""
    found = histogram(values, 30)
    return f"{min(values):,} {sparkline(found['counts'])} {max(values):,}" if values else ""
