"""Search trees to chains of thought (procedure cloning): go wrong, notice, say where to go back to, end right.

No model is asked. Which nodes a trace visits is decided by `traces.sequence`, how it says so by the template.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import LATER, ModelRef, StageConfig, TemplateField, TracesRef, TreesRef, VotesRef
from astro_factory.core.config import Config as CoreConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.models import model_source
from astro_factory.core.tables import write_table
from astro_factory.core.trees import Tree, read_trees
from astro_factory.core.verdicts import Outcome
from astro_factory.core.votes import trusted_terminals
from astro_factory.core.workload import Rows, Workload, times
from astro_factory.traces import error_codes
from astro_factory.traces.branch_counts import WrongBranches
from astro_factory.traces.render import render, trace_text
from astro_factory.traces.sequence import Confirm, Early, Merge, Order, SequenceOptions, merge_paths, sample_sequence
from astro_factory.traces.statistics import TraceStatistics
from astro_factory.traces.template_renderer import TemplateRenderer
from astro_factory.traces.terminals import Draw, Terminals
from astro_factory.traces.trace_filters import TraceFilter
from astro_factory.traces.trace_table import mark_learned, mark_weights, read_terminals, trace_row, trace_schema

OUTPUT = ArtifactType.TRACES
VERSION = 3
HEAVY = False

_REPORT_EVERY = 200
_REMEDIES = {
    "no_right_end": "search longer, take easier problems, or start from a model that solves some of them",
    "no_wrong_end": "ask for traces without wrong branches (`per_problem: {direct: 1, search: 3}`), or search longer",
    "no_trusted_end": "judge with another model or prompt, or take `rule: majority`",
    "too_long": "raise 'max_chars'",
    "too_short": "lower 'min_chars'",
    "no_answer": "let the template's block 'answer' say {{ node.closing }}, also for these trees",
    "unclean_step": "look at steps and answers: they hold control characters, special tokens or the template's words",
}
_DECIDED_BY_MATCH = {"per_problem", "max_traces", "wrong_branches", "confirm", "early", "order", "self_evaluation"}


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


class SelfEvaluation(CoreConfig):
    """Right ends count only where a model, asked several times, finds the solution right: no lucky guesses."""

    votes: VotesRef
    """Votes of a `judge` stage."""
    rule: Literal["unanimous", "majority"] = "unanimous"
    """How many of the votes have to speak for an end: all of them, as in the paper, or more than half."""


class LossWeights(CoreConfig):
    """How much a token of each kind of segment counts: 0 not at all, 1 as much as what is in no segment."""

    step: float = Field(1.0, ge=0)
    """Steps on the way to the right end."""
    wrong_step: float = Field(1.0, ge=0)
    """Steps that the trace gives up again."""
    reflect: float = Field(1.0, ge=0)
    """Looking back."""
    verdict: float = Field(1.0, ge=0)
    """Whether it is right."""
    backtrack: float = Field(1.0, ge=0)
    """Where it goes back to."""
    restart: float = Field(1.0, ge=0)
    """Going back to the beginning."""
    answer: float = Field(1.0, ge=0)
    """The last line."""


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
    max_traces: int | None = Field(None, gt=0)
    """Most traces of all: the first ones, tree by tree, so that what is compared can be equally many. Default: all."""
    wrong_branches: WrongBranches = (0, 2)
    """How many wrong ends a trace visits: a number, `[low, high]`, `{count: share}`, or `{natural: share, uniform:
    [low, high]}`, where `natural` follows the policy's own failures. A tree with fewer wrong answers gives fewer."""
    draw: Draw = "policy"
    """Which ends are taken: as likely as the policy comes to them, or all alike."""
    merge: Merge = "deepest"
    """Where a trace goes back to: the deepest state that the next branch shares with what was said, any such state, or
    the root."""
    order: Order = "drawn"
    """Which wrong branch comes first: as drawn, or sorted by how much of the right way they share (`near_last`,
    `near_first`)."""
    early: Early | None = None
    """Going back before the end of a branch; without it, from wrong ends only, as the paper does."""
    distinct: bool = True
    """Whether the wrong ends of a trace have different answers."""
    confirm: Confirm | None = None
    """Positive reflections in the middle of a solution, after steps of high value; none without it."""
    self_evaluation: SelfEvaluation | None = None
    """Which right ends a trace may lead to, by a model's votes; all without it."""
    match_count: TracesRef | None = None
    """Make the control arm of these traces: for each, one of the same problem with the same right end and no wrong
    branch."""
    min_chars: int | None = Field(None, gt=0)
    """Shortest response to keep, in characters."""
    max_chars: int | None = Field(None, gt=0)
    """Longest response to keep, in characters."""
    max_overlap: float | None = Field(None, ge=0, le=1)
    """Largest share of moves (from a node to the next) that a trace may have in common with another one of its problem;
    of two that are more alike, the later one is left out."""
    tokenizer: ModelRef | None = None
    """Model whose tokenizer counts the tokens of each response (`num_tokens`)."""
    learn_wrong_steps: bool = True
    """Whether training learns the steps that a trace gives up again, as in the paper, or only what follows them."""
    loss_weights: Annotated[LossWeights | None, LATER] = None
    """How much the segments of each kind count in the loss of training; all alike without it."""
    seed: int = 0
    """Source of randomness."""

    @model_validator(mode="after")
    def _one_source_of_weights(self) -> "Config":
        if self.loss_weights is not None and not self.learn_wrong_steps:
            raise ValueError("'loss_weights' says what is learned; remove 'learn_wrong_steps' or write {wrong_step: 0}")
        return self

    @model_validator(mode="after")
    def _one_source_of_counts(self) -> "Config":
        ours = sorted(_DECIDED_BY_MATCH & self.model_fields_set)
        if self.match_count is not None and ours:
            raise ValueError(f"'match_count' decides what traces there are; remove '{ours[0]}'")
        return self


def estimate(config: Config, rows: Rows) -> Workload:
    """So many traces a tree, or as many as those that are matched."""
    trees, each = rows.get(config.trees), config.per_problem
    if config.match_count is not None:
        return Workload("trees", trees, rows=rows.get(config.match_count))
    rows = times(trees, each if isinstance(each, int) else each.direct + each.search)
    return Workload("trees", trees, rows=rows if rows is None else min(rows, config.max_traces or rows))


def run(ctx: StageContext, config: Config) -> None:
    statistics = TraceStatistics()
    schema = trace_schema(
        tokens=config.tokenizer is not None,
        learned=not config.learn_wrong_steps,
        weight=config.loss_weights is not None,
    )
    write_table(ctx.out / TABLE_FILES[OUTPUT], _rows(ctx, config, statistics), schema)
    if not statistics.traces:
        reasons = ", ".join(f"{reason} {count}" for reason, count in statistics.dropped_traces.most_common())
        remedy = next(
            (_REMEDIES[reason] for reason, _ in statistics.dropped_traces.most_common(1)), "search some problems"
        )
        raise UserError.of(
            error_codes.NO_USABLE_TREE,
            f"none of {statistics.problems} trees gave a trace ({reasons or 'no trees'})",
            remedy,
        )
    (ctx.out / "statistics.json").write_text(json.dumps(statistics.as_json(), indent=2) + "\n", encoding="utf-8")


def _rows(ctx: StageContext, config: Config, statistics: TraceStatistics) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    table = ctx.inputs[config.trees] / TABLE_FILES[ArtifactType.TREES]
    total = pq.ParquetFile(table).metadata.num_rows
    maker, ends = _Maker(ctx, config), _ends_to_match(ctx, config)
    for done, tree in enumerate(read_trees(table), start=1):
        drawn = maker.drawn(tree) if ends is None else _matched(tree, ends.pop(tree.problem.id, []), config)
        rows, dropped = maker.rows(tree, drawn)
        if config.max_traces is not None:
            rows = rows[: config.max_traces - statistics.traces]
        statistics.add(rows, dropped)
        yield from rows
        enough = statistics.traces == config.max_traces
        if enough or done % _REPORT_EVERY == 0 or done == total:
            ctx.events.progress(total if enough else done, total, "trees", traces=statistics.traces)
        if enough:
            break
    if ends:
        raise _other_trees(next(iter(ends)), "there is no tree of it")


Drawn = Iterator[tuple[list[int] | str, int]]
"""Each wanted trace's node sequence, or why there is none, with the seed of its words."""


class _Maker:
    """Rows of one tree after another."""

    def __init__(self, ctx: StageContext, config: Config):
        self._config = config
        self._renderer = TemplateRenderer(config.template)
        self._filter = TraceFilter(config.template, config.min_chars, config.max_chars, config.max_overlap)
        self._wanted = _wanted(config)
        self._trusted = _trusted(ctx, config)
        self._count = _token_counter(ctx, config)
        self._weights = config.loss_weights and config.loss_weights.model_dump()

    def drawn(self, tree: Tree) -> Drawn:
        trusted = None if self._trusted is None else self._trusted.get(tree.problem.id, frozenset())
        terminals = Terminals(tree, self._config.draw, trusted)
        missing = "no_wrong_end" if terminals.correct else "no_trusted_end" if terminals.all_correct else "no_right_end"
        for index, options in enumerate(self._wanted):
            seed = seed_for(self._config.seed, "linearize", tree.problem.id, index)
            yield sample_sequence(tree, options, seed, terminals) or missing, seed

    def rows(self, tree: Tree, drawn: Drawn) -> tuple[list[dict[str, Any]], Counter]:
        """The traces to keep, and why others are not made."""
        rows, dropped = [], Counter()
        self._filter.start_tree()
        for visited, seed in drawn:
            if isinstance(visited, str):
                dropped[visited] += 1
                continue
            segments = render(tree, visited, self._renderer, seed)
            text = trace_text(segments)
            if fault := self._filter.drop_reason(tree, visited, segments, text):
                dropped[fault] += 1
                continue
            row = trace_row(tree, visited, segments, self._config.template.entry, seed, text)
            if self._count:
                row["num_tokens"] = self._count(text)
            if not self._config.learn_wrong_steps:
                mark_learned(tree, row)
            if self._weights is not None:
                mark_weights(tree, row, self._weights)
            rows.append(row)
        return rows, dropped


def _wanted(config: Config) -> list[SequenceOptions]:
    options = SequenceOptions(
        config.wrong_branches,
        merge=config.merge,
        draw=config.draw,
        confirm=config.confirm,
        early=config.early,
        order=config.order,
        distinct=config.distinct,
    )
    if isinstance(config.per_problem, int):
        return [options] * config.per_problem
    direct, search = replace(options, wrong_branches=0), replace(options, at_least=1)
    return [direct] * config.per_problem.direct + [search] * config.per_problem.search


def _trusted(ctx: StageContext, config: Config) -> Mapping[str, frozenset[int]] | None:
    if config.self_evaluation is None:
        return None
    votes = ctx.inputs[config.self_evaluation.votes] / TABLE_FILES[ArtifactType.VOTES]
    return trusted_terminals(votes, unanimous=config.self_evaluation.rule == "unanimous")


def _token_counter(ctx: StageContext, config: Config) -> Callable[[str], int] | None:
    if config.tokenizer is None:
        return None
    from tokenizers import Tokenizer

    file = model_source(ctx.inputs[config.tokenizer]) / "tokenizer.json"
    if not file.is_file():
        cause = f"'{config.tokenizer}' has no tokenizer.json to count tokens by"
        raise UserError.of(
            error_codes.NO_TOKENIZER, cause, "name a model with a fast tokenizer, or leave 'tokenizer' out"
        )
    tokenizer = Tokenizer.from_file(str(file))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _matched(tree: Tree, ends: list[int], config: Config) -> Drawn:
    """The direct way to each of the right ends that the matched traces reach."""
    for index, end in enumerate(ends):
        if end >= len(tree.nodes) or tree.nodes[end].verdict != Outcome.CORRECT:
            raise _other_trees(tree.problem.id, f"node {end} of its tree is no right end")
        yield merge_paths(tree, [], end), seed_for(config.seed, "linearize", tree.problem.id, index)


def _ends_to_match(ctx: StageContext, config: Config) -> dict[str, list[int]] | None:
    if config.match_count is None:
        return None
    ends: dict[str, list[int]] = defaultdict(list)
    for problem, end in read_terminals(ctx.inputs[config.match_count] / TABLE_FILES[OUTPUT]):
        ends[problem].append(end)
    return ends


def _other_trees(problem: str, why: str) -> UserError:
    return UserError.of(
        error_codes.OTHER_TREES,
        f"'match_count' names traces of other trees: problem {problem} has one, but {why}",
        "give both stages the same 'trees'",
    )
