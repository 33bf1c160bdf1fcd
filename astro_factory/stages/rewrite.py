"""A model rewords the text between the steps of a trace (paper, section 2.4); steps and answer are not changed.

Each line of such text is rewritten on its own, given the problem and the text before it. A rewritten line is accepted
if it keeps its content: the same numbers, the template's backtrack markers, no new step. A rewritten trace is accepted
if its text still parses to the same node sequence. Refused rewrites keep the original text and are counted in
`statistics.json`. The column `num_tokens` is dropped, because it no longer applies.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import RewritePrompt, TemplateField, TracesRef, TreesRef
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.tables import read_batches, write_table
from astro_factory.core.trees import Tree, read_trees
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.generation import Conversation, GenerationConfig, ask_about, cores, gpus
from astro_factory.traces import error_codes
from astro_factory.traces.prompt_templates import Prompt
from astro_factory.traces.rewriting import Line, RewriteChecker, apply_rewrites, rewritable_lines
from astro_factory.traces.trace_table import trace_schema

OUTPUT = ArtifactType.TRACES
VERSION = 1
HEAVY = True

__all__ = ["HEAVY", "OUTPUT", "VERSION", "Config", "cores", "gpus", "run"]


class Config(GenerationConfig):
    kind: Literal["rewrite"]
    traces: TracesRef
    """The traces to reword."""
    trees: TreesRef
    """The trees that the traces were made from."""
    template: TemplateField
    """The template that the traces were made with. Its backtrack markers must stay, because backtracks are counted by
    them."""
    prompt: RewritePrompt
    """The question with its examples, a template such as `rewrite/prose.jinja`; docs/reference/templates.md lists its
    variables."""
    attempts: int = Field(1, gt=0)
    """Rewordings sampled for each line; the first acceptable one is used."""


def estimate(config: Config, rows: Rows) -> Workload:
    """Lines of each trace, whose number only earlier runs show."""
    traces = rows.get(config.traces)
    return Workload("traces", traces, rows=traces)


def run(ctx: StageContext, config: Config) -> None:
    import pyarrow.parquet as pq

    table = ctx.inputs[config.traces] / TABLE_FILES[ArtifactType.TRACES]
    total, counts = pq.ParquetFile(table).metadata.num_rows, Counter()
    prompt = Prompt(config.prompt, "rewrite")
    subjects = (((row, tree), _conversations(row, tree, config, prompt)) for row, tree in _with_trees(ctx, config))
    rows = _rows(config, ask_about(ctx, config, "traces", subjects, total), counts)
    write_table(ctx.out / TABLE_FILES[OUTPUT], rows, _schema(table))
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


def _conversations(row: dict[str, Any], tree: Tree, config: Config, prompt: Prompt) -> list[Conversation]:
    """One conversation for each line."""
    return [
        Conversation(
            prompt.messages({"problem": tree.problem, "line": line.text, "before": line.before}),
            tuple(seed_for(config.seed, "rewrite", row["seed"], line.first, n) for n in range(config.attempts)),
        )
        for line in rewritable_lines(row)
    ]


def _rows(
    config: Config, answered: Iterator[tuple[tuple[dict[str, Any], Tree], list[list[str]]]], counts: Counter
) -> Iterator[dict[str, Any]]:
    judge = RewriteChecker(config.template)
    for (row, tree), responses in answered:
        taken: dict[Line, str] = {}
        for line, answers in zip(rewritable_lines(row), responses, strict=True):
            faults = [judge.refusal(line.text, answer.strip(), tree) for answer in answers]
            counts["lines"] += 1
            if "" in faults:
                taken[line] = answers[faults.index("")].strip()
            else:
                counts[f"refused_{faults[0]}"] += 1
        changed = apply_rewrites(row, tree, taken) if taken else None
        counts["traces_reworded"] += changed is not None
        counts["lines_reworded"] += len(taken) if changed else 0
        counts["refused_traces"] += bool(taken) and changed is None
        kept = row if changed is None else changed
        yield {name: value for name, value in kept.items() if name != "num_tokens"}


def _statistics(traces: int, counts: Counter) -> dict[str, Any]:
    refused = {name.removeprefix("refused_"): counts[name] for name in +counts if name.startswith("refused_")}
    named = ("traces_reworded", "lines", "lines_reworded")
    return {"traces": traces, **{name: counts[name] for name in named}, "refused": dict(sorted(refused.items()))}
