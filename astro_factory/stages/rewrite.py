"""A model words a trace, step by step and move by move (paper, section 2.4).

Each piece is worded on its own, given the problem and the text so far as the model has worded it. A rewording is
accepted if it keeps the numbers, claims, boxed answers and words for going back (`traces.rewriting`), and a reworded
trace if it still reads as the same node sequence with the same answer. Refused rewordings keep the original text and
are counted in `statistics.json`. The column `num_tokens` is dropped, because it no longer applies.

The traces of a group take turns: the model answers for one piece of each, then for the next. Every sample is an item,
so a killed run continues where it was.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import RewritePrompt, TemplateField, TracesRef, TreesRef
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.step_format import LINES
from astro_factory.core.tables import read_batches, write_table
from astro_factory.core.trees import Tree, read_trees, step_format_of
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.generation import (
    Batch,
    Conversation,
    GenerationConfig,
    Generator,
    sampling_of,
)
from astro_factory.stages.sampling_hooks import cores, gpus, lighter, requirements
from astro_factory.traces import error_codes
from astro_factory.traces.prompt_templates import Prompt
from astro_factory.traces.rewriting import RewriteChecker, What, reword
from astro_factory.traces.trace_table import trace_schema
from astro_factory.verifiers import get_verifier

OUTPUT = ArtifactType.TRACES
VERSION = 2
HEAVY = True

__all__ = ["HEAVY", "OUTPUT", "VERSION", "Config", "cores", "gpus", "lighter", "requirements", "run"]


class Config(GenerationConfig):
    kind: Literal["rewrite"]
    traces: TracesRef
    """The traces to reword."""
    what: What = "both"
    """What is worded: steps, moves (what a trace says between steps, with the place that it goes back to), or both, as
    in the paper."""
    trees: TreesRef
    """The trees that the traces were made from."""
    template: TemplateField
    """The template that the traces were made with. Its backtrack markers must stay, because backtracks are counted by
    them."""
    prompt: RewritePrompt
    """The question with its examples, a template such as `rewrite/solution.jinja`. docs/reference/templates.md lists
    its variables."""
    attempts: int = Field(1, gt=0)
    """Rewordings sampled for each step and move; the first acceptable one is used."""


def estimate(config: Config, rows: Rows) -> Workload:
    """Lines of each trace, whose number only earlier runs show."""
    traces = rows.get(config.traces)
    return Workload("traces", traces, rows=traces)


def run(ctx: StageContext, config: Config) -> None:
    import pyarrow.parquet as pq

    table = ctx.inputs[config.traces] / TABLE_FILES[ArtifactType.TRACES]
    total, counts = pq.ParquetFile(table).metadata.num_rows, Counter[str]()
    write_table(ctx.out / TABLE_FILES[OUTPUT], _rows(ctx, config, total, counts), _schema(table))
    text = json.dumps(_statistics(total, counts), indent=2) + "\n"
    (ctx.out / "statistics.json").write_text(text, encoding="utf-8")


def _schema(table: Path) -> Any:
    import pyarrow.parquet as pq

    segments = pq.ParquetFile(table).schema_arrow.field("segments").type.value_type
    return trace_schema(**{name: segments.get_field_index(name) >= 0 for name in ("learned", "weight")})


def _with_trees(ctx: StageContext, config: Config) -> Iterator[tuple[dict[str, Any], Tree]]:
    """Each trace with its tree; both tables list the problems in the same order."""
    trees = read_trees(ctx.inputs[config.trees] / TABLE_FILES[ArtifactType.TREES])
    tree: Tree | None = None
    table = ctx.inputs[config.traces] / TABLE_FILES[ArtifactType.TRACES]
    for batch in read_batches(table, 256):
        for row in batch.to_pylist():
            while tree is None or tree.problem.id != row["problem_id"]:
                tree = next(trees, None)
                if tree is None:
                    raise UserError.of(
                        error_codes.OTHER_TREES,
                        f"'traces' were made from other trees: no tree has problem {row['problem_id']}",
                        "name the trees that the traces were made from",
                    )
            yield row, tree


class _Draft:
    """A trace that is being worded."""

    def __init__(self, row: dict[str, Any], tree: Tree, config: Config, checker: RewriteChecker, counts: Counter[str]):
        self.row, self._config, self._answered = row, config, 0
        self._problem, self._original = tree.problem, row["messages"][-1]["content"]
        keeps_answer = None if config.what == "moves" else self._keeps_answer  # the steps state the answer
        self._wording = reword(row, tree, config.what, checker, counts, keeps_answer)
        self.asked = self._next(lambda: next(self._wording))
        """Variables of the next prompt; None when the trace is worded."""

    def conversation(self, prompt: Prompt) -> Conversation:
        """The question about the next piece."""
        assert self.asked is not None
        about = (self._config.seed, "rewrite", self.row["seed"], self._answered)
        seeds = tuple(seed_for(*about, attempt) for attempt in range(self._config.attempts))
        return Conversation(prompt.messages(self.asked), seeds)

    def take(self, answers: list[str]) -> None:
        """Use the model's answers to `conversation`."""
        self._answered += 1
        self.asked = self._next(lambda: self._wording.send(answers))

    def _next(self, advance: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        try:
            return advance()
        except StopIteration as end:
            self.row = {name: value for name, value in end.value.items() if name != "num_tokens"}
            return None

    def _keeps_answer(self, text: str) -> bool:
        verify = get_verifier(self._problem.verifier).verify
        old, new = verify(self._problem, self._original), verify(self._problem, text)
        return (old.outcome, old.answer) == (new.outcome, new.answer)


def _rows(ctx: StageContext, config: Config, total: int, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """The rows in their order; as many traces as a group has are worded side by side."""
    prompt = Prompt(config.prompt, "rewrite")
    layout = step_format_of(ctx.inputs[config.trees] / TABLE_FILES[ArtifactType.TREES]) or LINES
    checker = RewriteChecker(config.template, config.prompt.sources.values(), layout)
    pairs, done = _with_trees(ctx, config), 0
    with Generator(ctx, config.processes, config.backend) as generator:
        while group := [
            _Draft(row, tree, config, checker, counts) for row, tree in islice(pairs, config.group * config.processes)
        ]:
            while waiting := [draft for draft in group if draft.asked is not None]:
                conversations = [draft.conversation(prompt) for draft in waiting]
                for draft, answers in zip(waiting, _answers(ctx, config, generator, conversations), strict=True):
                    draft.take(answers)
                ctx.events.progress(done + len(group) - len(waiting), total, "traces")
            yield from (draft.row for draft in group)
            done += len(group)
            ctx.events.progress(done, total, "traces")


def _answers(
    ctx: StageContext, config: Config, generator: Generator, conversations: list[Conversation]
) -> list[list[str]]:
    """The model's answers to each conversation, sampled in all processes."""
    size = max(1, -(-len(conversations) // config.processes))
    sampling = sampling_of(ctx, config)
    batches = [Batch(sampling, conversations[start : start + size]) for start in range(0, len(conversations), size)]
    made = generator.responses(batches)
    return [[response["text"] for response in responses] for batch in made for responses in batch]


def _statistics(traces: int, counts: Counter) -> dict[str, Any]:
    refused = {name.removeprefix("refused_"): counts[name] for name in +counts if name.startswith("refused_")}
    named = ("traces_reworded", "lines", "lines_reworded")
    return {"traces": traces, **{name: counts[name] for name in named}, "refused": dict(sorted(refused.items()))}
