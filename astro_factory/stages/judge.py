"""Self-evaluation: a model votes whether the solution of each correct terminal is sound (paper, appendix A.1).

A right answer can be a lucky guess. `linearize` with `self_evaluation` uses only ends that all votes, or most, are in
favour of. The paper asks for 8 votes, all in favour. With `ends: all`, votes on wrong ends show how good a judge the
model is: those with a majority in favour are the ones that it lets through.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import seed_for
from astro_factory.core.config import LATER, JudgePrompt, TreesRef
from astro_factory.core.context import StageContext
from astro_factory.core.step_format import LINES, StepLayout, written
from astro_factory.core.tables import write_table
from astro_factory.core.trees import Tree, read_trees, step_format_of
from astro_factory.core.votes import vote_schema
from astro_factory.core.workload import Rows, Workload
from astro_factory.stages.generation import (
    Conversation,
    GenerationConfig,
    ask_about,
)
from astro_factory.stages.sampling_hooks import cores, gpus, lighter, requirements
from astro_factory.traces.prompt_templates import Prompt
from astro_factory.traces.terminals import Terminals

OUTPUT = ArtifactType.VOTES
VERSION = 1
HEAVY = True

__all__ = ["HEAVY", "OUTPUT", "VERSION", "Config", "cores", "gpus", "lighter", "requirements", "run"]


class Config(GenerationConfig):
    kind: Literal["judge"]
    trees: TreesRef
    """Search trees whose terminals are voted on."""
    ends: Annotated[Literal["correct", "all"], LATER] = "correct"
    """Terminals to vote on: the correct ones, as in the paper, or the incorrect ones too. `linearize` uses correct ones
    alone; votes on the others show which wrong ends the judge lets through."""
    votes: int = Field(8, gt=0)
    """N: votes on each end."""
    prompt: JudgePrompt
    """The question, a template such as `judge/solution.jinja`; docs/reference/templates.md lists its variables."""
    in_favour: str = Field("Verdict: yes", min_length=1)
    """Text that a vote in favour contains, in upper or lower case; every other response is a vote against."""

    @field_validator("in_favour")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is blank, and every vote would be in favour")
        return text


def estimate(config: Config, rows: Rows) -> Workload:
    """Votes on the terminals of each tree, whose number only earlier runs show."""
    return Workload("trees", rows.get(config.trees))


def run(ctx: StageContext, config: Config) -> None:
    import pyarrow.parquet as pq

    table = ctx.inputs[config.trees] / TABLE_FILES[ArtifactType.TREES]
    total = pq.ParquetFile(table).metadata.num_rows
    prompt = Prompt(config.prompt, "judge")
    layout = step_format_of(table) or LINES
    subjects = ((tree, _conversations(tree, config, prompt, layout)) for tree in read_trees(table))
    answered = ask_about(ctx, config, "trees", subjects, total)
    write_table(ctx.out / TABLE_FILES[OUTPUT], _rows(config, answered), vote_schema(verdicts=config.ends == "all"))


def _ends(tree: Tree, config: Config) -> list[int]:
    found = Terminals(tree)
    return found.correct + (found.incorrect if config.ends == "all" else [])


def _conversations(tree: Tree, config: Config, prompt: Prompt, layout: StepLayout) -> list[Conversation]:
    """One conversation for each end."""
    found = []
    for end in _ends(tree, config):
        node, steps = tree.nodes[end], [tree.nodes[index].text for index in tree.path(end)]
        solution = written(layout, steps, node.closing)
        messages = prompt.messages({"problem": tree.problem, "node": node, "solution": solution})
        seeds = tuple(seed_for(config.seed, "judge", tree.problem.id, end, vote) for vote in range(config.votes))
        found.append(Conversation(messages, seeds))
    return found


def _rows(config: Config, answered: Iterator[tuple[Tree, list[list[str]]]]) -> Iterator[dict[str, Any]]:
    for tree, responses in answered:
        for end, votes in zip(_ends(tree, config), responses, strict=True):
            yes, node = sum(config.in_favour.casefold() in vote.casefold() for vote in votes), tree.nodes[end]
            row = {"problem_id": tree.problem.id, "node": end, "votes": len(votes), "in_favour": yes}
            yield row | ({"verdict": node.verdict, "answer": node.answer} if config.ends == "all" else {})
