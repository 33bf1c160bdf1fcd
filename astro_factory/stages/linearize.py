"""Search trees to chains of thought (procedure cloning): go wrong, notice, say where to go back to, end right.

No model is asked. Which nodes a trace visits is decided by `traces.sequence`, how it says so by the template.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import Config as CoreConfig
from astro_factory.core.config import StageConfig, TemplateField, TracesRef, TreesRef
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.tables import write_table
from astro_factory.core.trees import Tree, read_trees
from astro_factory.core.verdicts import Outcome
from astro_factory.traces import codes
from astro_factory.traces.branches import WrongBranches
from astro_factory.traces.render import render
from astro_factory.traces.sequence import Confirm, Draw, Merge, SequenceOptions, Terminals, sequence, walk
from astro_factory.traces.table import read_ends, trace_row, trace_schema
from astro_factory.traces.wording import Wording

OUTPUT = ArtifactType.TRACES
VERSION = 1
HEAVY = False

_REPORT_EVERY = 200
_REMEDIES = {
    "no_right_end": "search longer, take easier problems, or start from a model that solves some of them",
    "no_wrong_end": "ask for traces without wrong branches (`per_problem: {direct: 1, search: 3}`), or search longer",
    "too_long": "raise 'max_chars'",
}


class PerProblem(CoreConfig):
    """So many traces without a wrong branch and so many with at least one, as the paper has them (1 and 3)."""

    direct: int = Field(1, ge=0)
    """Traces that go straight to a right end."""
    search: int = Field(3, ge=0)
    """Traces with at least one wrong branch; where 'wrong_branches' draws none, they get one."""

    @model_validator(mode="after")
    def _some(self) -> "PerProblem":
        if not self.direct + self.search:
            raise ValueError("asks for no trace at all")
        return self


class Config(StageConfig):
    kind: Literal["linearize"]
    trees: TreesRef
    """Search trees to word."""
    template: TemplateField
    """Words for reflection, verdicts and going back."""
    per_problem: Annotated[
        Annotated[int, Field(gt=0), Tag("count")] | Annotated[PerProblem, Tag("each")],
        Discriminator(lambda value: "each" if isinstance(value, dict | PerProblem) else "count"),
    ] = PerProblem()
    """Traces of one tree: how many, all with as many wrong branches as drawn, or how many of which sort."""
    wrong_branches: WrongBranches = (0, 2)
    """How many wrong ends a trace visits: a number, `[low, high]`, `{count: share}`, or `{natural: share, uniform:
    [low, high]}`, where `natural` follows the policy's own failures. A tree with fewer wrong answers gives fewer."""
    draw: Draw = "policy"
    """Which ends are taken: as likely as the policy comes to them, or all alike."""
    merge: Merge = "deepest"
    """Where a trace goes back to: the deepest state that the next branch shares with what was said, or the root."""
    confirm: Confirm | None = None
    """Positive reflections in the middle of a solution, after steps of high value; none without it."""
    match_count: TracesRef | None = None
    """Make the control arm of these traces: for each, one of the same problem with the same right end and no wrong
    branch."""
    max_chars: int | None = Field(None, gt=0)
    """Longest response to keep, in characters."""
    seed: int = 0
    """Source of randomness."""

    @model_validator(mode="after")
    def _one_source_of_counts(self) -> "Config":
        ours = sorted({"per_problem", "wrong_branches", "confirm"} & self.model_fields_set)
        if self.match_count is not None and ours:
            raise ValueError(f"'match_count' decides what traces there are; remove '{ours[0]}'")
        return self


@dataclass
class _Tally:
    """What came of the trees, for statistics.json."""

    problems: int = 0
    used: int = 0
    traces: int = 0
    distinct: int = 0
    steps: int = 0
    characters: int = 0
    longest: int = 0
    backtracks: Counter = field(default_factory=Counter)
    dropped_problems: Counter = field(default_factory=Counter)
    dropped_traces: Counter = field(default_factory=Counter)

    def add(self, rows: list[dict[str, Any]], dropped: Counter) -> None:
        """One tree's traces, and why others were not made."""
        texts = [row["messages"][-1]["content"] for row in rows]
        self.problems += 1
        self.used += bool(rows)
        self.traces += len(rows)
        self.distinct += len(set(texts))
        self.steps += sum(segment["kind"] == "step" for row in rows for segment in row["segments"])
        self.characters += sum(map(len, texts))
        self.longest = max([self.longest, *map(len, texts)])
        self.backtracks.update(row["num_backtracks"] for row in rows)
        self.dropped_traces += dropped
        if not rows:
            self.dropped_problems.update([reason for reason, _ in dropped.most_common(1)] or ["not_matched"])

    def as_json(self) -> dict[str, Any]:
        made = max(self.traces, 1)
        return {
            "problems": self.problems,
            "problems_used": self.used,
            "problems_dropped": dict(sorted(self.dropped_problems.items())),
            "traces": self.traces,
            "traces_distinct": self.distinct,
            "traces_dropped": dict(sorted(self.dropped_traces.items())),
            "backtracks": {str(number): count for number, count in sorted(self.backtracks.items())},
            "backtracks_mean": sum(number * count for number, count in self.backtracks.items()) / made,
            "steps_mean": self.steps / made,
            "characters_mean": self.characters / made,
            "characters_longest": self.longest,
        }


def run(ctx: StageContext, config: Config) -> None:
    tally = _Tally()
    write_table(ctx.out / TABLE_FILES[OUTPUT], _rows(ctx, config, tally), trace_schema())
    if not tally.traces:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.dropped_traces.most_common())
        remedy = next((_REMEDIES[reason] for reason, _ in tally.dropped_traces.most_common(1)), "search some problems")
        raise UserError.of(
            codes.NO_USABLE_TREE, f"none of {tally.problems} trees gave a trace ({reasons or 'no trees'})", remedy
        )
    statistics = json.dumps(tally.as_json(), indent=2) + "\n"
    (ctx.out / "statistics.json").write_text(statistics, encoding="utf-8")


def _rows(ctx: StageContext, config: Config, tally: _Tally) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    table = ctx.inputs[config.trees] / TABLE_FILES[ArtifactType.TREES]
    total = pq.ParquetFile(table).metadata.num_rows
    wording, ends = Wording(config.template), _ends_to_match(ctx, config)
    for done, tree in enumerate(read_trees(table), start=1):
        rows, dropped = [], Counter()
        drawn = _drawn(tree, config) if ends is None else _matched(tree, ends.pop(tree.problem.id, []), config)
        for visited, seed in drawn:
            if isinstance(visited, str):
                dropped[visited] += 1
                continue
            row = trace_row(tree, visited, render(tree, visited, wording, seed), config.template.entry, seed)
            if config.max_chars and len(row["messages"][-1]["content"]) > config.max_chars:
                dropped["too_long"] += 1
            else:
                rows.append(row)
        tally.add(rows, dropped)
        yield from rows
        if done % _REPORT_EVERY == 0 or done == total:
            ctx.events.progress(done, total, "trees", traces=tally.traces)
    if ends:
        raise _other_trees(next(iter(ends)), "there is no tree of it")


def _drawn(tree: Tree, config: Config) -> Iterator[tuple[list[int] | str, int]]:
    """Each wanted trace's node sequence, or why there is none, with the seed of its words."""
    terminals = Terminals(tree, config.draw)
    for index, options in enumerate(_wanted(config)):
        seed = seed_for(config.seed, "linearize", tree.problem.id, index)
        missing = "no_wrong_end" if terminals.right else "no_right_end"
        yield sequence(tree, options, seed, terminals) or missing, seed


def _wanted(config: Config) -> list[SequenceOptions]:
    options = SequenceOptions(config.wrong_branches, 0, config.merge, config.draw, config.confirm)
    if isinstance(config.per_problem, int):
        return [options] * config.per_problem
    direct, search = replace(options, wrong_branches=0), replace(options, at_least=1)
    return [direct] * config.per_problem.direct + [search] * config.per_problem.search


def _matched(tree: Tree, ends: list[int], config: Config) -> Iterator[tuple[list[int] | str, int]]:
    """The direct way to each of the right ends that the matched traces reach."""
    for index, end in enumerate(ends):
        if end >= len(tree.nodes) or tree.nodes[end].verdict != Outcome.CORRECT:
            raise _other_trees(tree.problem.id, f"node {end} of its tree is no right end")
        yield walk(tree, [], end), seed_for(config.seed, "linearize", tree.problem.id, index)


def _ends_to_match(ctx: StageContext, config: Config) -> dict[str, list[int]] | None:
    if config.match_count is None:
        return None
    ends: dict[str, list[int]] = defaultdict(list)
    for problem, end in read_ends(ctx.inputs[config.match_count] / TABLE_FILES[OUTPUT]):
        ends[problem].append(end)
    return ends


def _other_trees(problem: str, why: str) -> UserError:
    return UserError.of(
        codes.OTHER_TREES,
        f"'match_count' names traces of other trees: problem {problem} has one, but {why}",
        "give both stages the same 'trees'",
    )
