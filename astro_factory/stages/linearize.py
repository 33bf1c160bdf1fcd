"""Search trees to chains of thought (procedure cloning): take wrong branches, notice, go back, end with a right answer.

No model is used. `traces.sequence` decides which nodes a trace visits, the template how the text words it.
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
from astro_factory.core.step_format import LINES, StepsField
from astro_factory.core.tables import write_table
from astro_factory.core.trees import Tree, read_trees, step_format_of
from astro_factory.core.verdicts import Outcome
from astro_factory.core.votes import trusted_terminals
from astro_factory.core.workload import Rows, Workload, times
from astro_factory.traces import error_codes
from astro_factory.traces.branch_counts import WrongBranches, may_draw
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
_FEW = 0.05
"""Share of traces with a wrong branch below which the log warns."""
_REMEDIES = {
    "no_right_end": "search longer, use easier problems, or start from a model that solves some of them",
    "no_wrong_end": "ask for traces without wrong branches (`per_problem: {direct: 1, search: 3}`), or search longer",
    "no_trusted_end": "judge with another model or prompt, or use `rule: majority`",
    "too_long": "raise 'max_chars'",
    "too_short": "lower 'min_chars'",
    "long_quote": "shorten what the template quotes: {{ target.text | gist }}",
    "no_answer": "make the template's block 'answer' contain {{ node.closing }} for these trees too",
    "unclean_step": "look at steps and answers: they contain control characters, special tokens or template words",
}
_DECIDED_BY_MATCH = {"per_problem", "max_traces", "wrong_branches", "confirm", "early", "order", "self_evaluation"}


class PerProblem(CoreConfig):
    """How many traces without a wrong branch, and how many with at least one (in the paper 1 and 3)."""

    direct: int = Field(1, ge=0)
    """Traces that lead straight to a correct terminal."""
    search: int = Field(3, ge=0)
    """Traces with at least one wrong branch; they get one if 'wrong_branches' draws none."""

    @model_validator(mode="after")
    def _some(self) -> "PerProblem":
        if not self.direct + self.search:
            raise ValueError("asks for no trace at all")
        return self


class SelfEvaluation(CoreConfig):
    """Use only correct terminals whose solution a model, asked several times, finds right: no lucky guesses."""

    votes: VotesRef
    """Votes of a `judge` stage."""
    rule: Literal["unanimous", "majority"] = "unanimous"
    """How many votes must be in favour of an end: all of them, as in the paper, or more than half."""


class LossWeights(CoreConfig):
    """Weight of a token in the loss by kind of segment: 0 is none, 1 that of text outside all segments."""

    step: float = Field(1.0, ge=0)
    """Steps on the way to the correct terminal."""
    wrong_step: float = Field(1.0, ge=0)
    """Steps that the trace abandons."""
    reflect: float = Field(1.0, ge=0)
    """Reflections."""
    verdict: float = Field(1.0, ge=0)
    """Verdicts on a reflection."""
    backtrack: float = Field(1.0, ge=0)
    """Backtracks."""
    restart: float = Field(1.0, ge=0)
    """Restarts from the beginning."""
    answer: float = Field(1.0, ge=0)
    """The line with the answer."""


class Config(StageConfig):
    kind: Literal["linearize"]
    trees: TreesRef
    """Search trees."""
    template: TemplateField
    """Wording of reflections, verdicts and backtracks."""
    per_problem: Annotated[
        Annotated[int, Field(gt=0), Tag("count")] | Annotated[PerProblem, Tag("each")],
        Discriminator(lambda value: "each" if isinstance(value, dict | PerProblem) else "count"),
    ] = PerProblem(direct=1, search=3)
    """Traces per tree: a number, each with as many wrong branches as drawn, or a number of each sort."""
    max_traces: int | None = Field(None, gt=0)
    """Most traces in total, taken tree by tree, so that stages can be compared at equal counts. Default: all."""
    wrong_branches: WrongBranches = (0, 2)
    """Number of wrong terminals that a trace visits: a number, `[low, high]`, `{count: share}`, or `{natural: share,
    uniform: [low, high]}`, where `natural` follows the policy's own failures; at most a tree's wrong answers."""
    draw: Draw = "policy"
    """How terminals are drawn: by how often the policy reached them, or uniformly."""
    merge: Merge = "deepest"
    """Where a trace goes back to: the deepest state that the next branch shares with the text so far, any such state,
    or the root."""
    order: Order = "drawn"
    """Order of wrong branches: as drawn, sorted by how much of the right path they share (`near_last`, `near_first`),
    or sorted by the text of their steps, with numbers compared as numbers (`by_steps`). In that order the last attempt
    alone tells which attempts lie behind."""
    early: Early | None = None
    """Backtracks before the end of a branch. Default: only from wrong terminals, as in the paper."""
    distinct: bool = True
    """Whether the wrong terminals of a trace must have different answers."""
    confirm: Confirm | None = None
    """Positive reflections within a solution, after steps of high value. Default: none."""
    self_evaluation: SelfEvaluation | None = None
    """Use only correct terminals that a model voted for. Default: all correct terminals."""
    match_count: TracesRef | None = None
    """Make the control arm of these traces: for each of them, one of the same problem with the same correct terminal
    and no wrong branch."""
    min_chars: int | None = Field(None, gt=0)
    """Shortest response to keep, in characters."""
    max_chars: int | None = Field(None, gt=0)
    """Longest response to keep, in characters."""
    max_overlap: float | None = Field(None, ge=0, le=1)
    """Largest share of moves (from a node to the next) that two traces of a problem may have in common; of two more
    similar ones the later is dropped."""
    tokenizer: ModelRef | None = None
    """Model whose tokenizer counts the tokens of each response (`num_tokens`)."""
    learn_wrong_steps: bool = True
    """Whether training learns the steps that a trace abandons, as in the paper, or only what follows them."""
    loss_weights: Annotated[LossWeights | None, LATER] = None
    """Weight of each kind of segment in the training loss. Default: all equal."""
    steps: Annotated[StepsField | None, LATER] = None
    """How steps are joined and numbered: a name from `step_formats:`, or a mapping. Default: as the search wrote
    them."""
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
    """A number of traces per tree, or as many as are matched."""
    trees, each = rows.get(config.trees), config.per_problem
    if config.match_count is not None:
        return Workload("trees", trees, rows=rows.get(config.match_count))
    traces = times(trees, each if isinstance(each, int) else each.direct + each.search)
    return Workload("trees", trees, rows=traces if traces is None else min(traces, config.max_traces or traces))


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
    _warn(ctx, config, statistics)


def _warn(ctx: StageContext, config: Config, statistics: TraceStatistics) -> None:
    """Log that a model learns no search from these traces, although the config asks for wrong branches."""
    if config.match_count is not None:
        return
    asked = any(options.at_least or may_draw(options.wrong_branches) for options in _wanted(config))
    wrong = statistics.traces - statistics.wrong[0]
    if asked and wrong < _FEW * statistics.traces:
        ctx.events.log(
            f"only {wrong} of {statistics.traces} traces have a wrong branch, so a model learns hardly any search from "
            "them: few trees have wrong ends beside right ones; search with more samples or harder problems"
        )


def _rows(ctx: StageContext, config: Config, statistics: TraceStatistics) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    table = ctx.inputs[config.trees] / TABLE_FILES[ArtifactType.TREES]
    total = pq.ParquetFile(table).metadata.num_rows
    maker, ends = _TraceMaker(ctx, config), _ends_to_match(ctx, config)
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
"""For each requested trace its node sequence, or why there is none, and the seed of its wording."""


class _TraceMaker:
    """Makes the rows of one tree after another."""

    def __init__(self, ctx: StageContext, config: Config):
        self._config = config
        trees = ctx.inputs[config.trees] / TABLE_FILES[ArtifactType.TREES]
        self._layout = config.steps or step_format_of(trees) or LINES
        self._renderer = TemplateRenderer(config.template)
        self._filter = TraceFilter(
            config.template, config.min_chars, config.max_chars, config.max_overlap, self._layout
        )
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
        """The traces to keep, and the reasons why others were dropped, with counts."""
        rows, dropped = [], Counter()
        self._filter.start_tree()
        for visited, seed in drawn:
            if isinstance(visited, str):
                dropped[visited] += 1
                continue
            segments = render(tree, visited, self._renderer, seed, self._layout)
            text = trace_text(segments, self._layout)
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
    """The direct path to each correct terminal of the matched traces."""
    for index, end in enumerate(ends):
        if end >= len(tree.nodes) or tree.nodes[end].verdict != Outcome.CORRECT:
            raise _other_trees(tree.problem.id, f"node {end} of its tree is no correct terminal")
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
