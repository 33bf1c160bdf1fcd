"""The samples of an evaluation as columns, with the graph that each response draws.

A graph is two lists over the pieces of the text: the kind of each piece, a letter of `LINE_KINDS`, and the state after
it. Pieces are the lines that are not blank or, where the texts have a step format, steps and the paragraphs between
them; then a third list says where they start. States are numbered in the order of their making, 0 is the problem's,
and a step to a new number goes on from the state before it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.config import TemplateSource
from astro_factory.core.step_format import StepFormat
from astro_factory.core.tables import read_columns
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.samples import MEASURES
from astro_factory.report.built import BuiltSpec, BuiltStage, Section
from astro_factory.traces.backtrack_markers import block_markers, marker_finder
from astro_factory.traces.response_parser import ReasoningGraph, ResponseParser
from astro_factory.traces.template_renderer import BLOCKS

LINE_KINDS = {"step": "s", "words": "w", "jump": "b", "unresolved": "u", "answer": "a"}
MAX_CHARS = 20_000
"""Longer texts are cut in the report."""
_COLUMNS = ("source", "problem", "arm", "sample", "text", "tokens", "finish", "outcome", "extracted", *MEASURES)
_PACKED_SHARE = 0.3
"""What is left of a text's bytes after compression and base64, about."""
_CODED = ("arm", "finish", "outcome")
"""Columns of few values, written as indices."""


@dataclass(frozen=True)
class Choice:
    """Which samples a report shows: every `every`-th problem and at most `each` samples of a problem and arm."""

    every: int = 1
    each: int | None = None

    def smaller(self) -> "Choice":
        """The next choice when this one takes too much room: fewer samples of a problem first, then fewer problems."""
        if self.each is None or self.each > 2:
            return Choice(self.every, 4 if self.each is None else self.each // 2)
        return Choice(self.every * 2, self.each)


def likely_choice(stage: BuiltStage, room: int) -> Choice:
    """The largest choice that probably fits into `room` bytes of the file, estimated from the size of the texts."""
    table = stage.table(["sample", "text"])
    size, most = table.column("text").nbytes, max(table.column("sample").to_pylist(), default=0) + 1
    choice = Choice()
    while size * _PACKED_SHARE * min(choice.each or most, most) / most / choice.every > room:
        choice = choice.smaller()
    return choice


def samples_of(spec: BuiltSpec, stage: BuiltStage, choice: Choice = Choice()) -> Section:
    """Problems, samples and graphs of an evaluate stage."""
    comparison = stage.node.config
    assert isinstance(comparison, Comparison)
    table = {name: column for name, column in zip(_COLUMNS, stage.table(_COLUMNS).columns, strict=True)}
    columns: dict[str, list] = {name: column.to_pylist() for name, column in table.items()}
    asked = list(dict.fromkeys(zip(columns["source"], columns["problem"], strict=True)))
    numbers = {name: number for number, name in enumerate(asked[:: choice.every])}
    kept = list(_kept(columns, numbers, choice.each))
    shown = {name: [column[row] for row in kept] for name, column in columns.items()}
    texts, questions = shown.pop("text"), questions_of(spec, stage)
    places = [numbers[name] for name in zip(shown.pop("source"), shown.pop("problem"), strict=True)]
    asked_texts = [questions.get(name, ("", "", "")) for name in numbers]
    graphs = _graphs(
        comparison.backtracks, spec.steps_of(stage.name), texts, [asked_texts[place][0] for place in places]
    )
    values = {
        name: list(dict.fromkeys([*comparison.arms, *shown[name]] if name == "arm" else shown[name])) for name in _CODED
    }
    return {
        "total": len(columns["arm"]),
        "shown": len(kept),
        "problems_total": len(asked),
        "solved": _solved(columns, asked, comparison),
        "problems": {
            "id": [name for _, name in numbers],
            "source": [source for source, _ in numbers],
            "question": [cut(question) for question, _, _ in asked_texts],
            "answer": [answer for _, answer, _ in asked_texts],
            "level": [level for _, _, level in asked_texts],
            "all_ids": [name for _, name in asked],
        },
        "values": values,
        "columns": {
            "problem": places,
            **{name: _coded(shown[name], values.get(name)) for name in shown},
            "text": [cut(text) for text in texts],
            "kinds": [graph.kinds for graph in graphs],
            "states": [graph.states for graph in graphs],
            "starts": [graph.starts for graph in graphs],
        },
    }


def _kept(columns: dict[str, list], numbers: dict[tuple[str, str], int], each: int | None) -> Iterator[int]:
    for row, (source, problem, sample) in enumerate(
        zip(columns["source"], columns["problem"], columns["sample"], strict=True)
    ):
        if (source, problem) in numbers and (each is None or sample < each):
            yield row


def _solved(
    columns: dict[str, list], asked: Sequence[tuple[str, str]], comparison: Comparison
) -> dict[str, list[float]]:
    """For each arm the share of right samples of every problem, over the samples that the report counts."""
    counts: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for source, problem, arm, sample, outcome in zip(
        *(columns[name] for name in ("source", "problem", "arm", "sample", "outcome")), strict=True
    ):
        if sample < comparison.suite.samples:
            entry = counts[source, problem, arm]
            entry[0] += outcome == "correct"
            entry[1] += 1
    return {
        arm: [
            round(right / max(all_, 1), 4)
            for right, all_ in (counts[source, problem, arm] for source, problem in asked)
        ]
        for arm in comparison.arms
    }


def questions_of(spec: BuiltSpec, stage: BuiltStage) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Source and id of each problem to question, answer and level; of the sources that the store holds."""
    comparison = stage.node.config
    assert isinstance(comparison, Comparison)
    found = {}
    for source in comparison.suite.problems:
        built = spec.stages.get(stage.node.reads[source])
        if built is not None:
            path = built.folder / TABLE_FILES[ArtifactType.PROBLEMS]
            for row in read_columns(path, ["id", "question", "answer", "level"]):
                found[source, row["id"]] = row["question"], row["answer"], row["level"]
    return found


class Graph(NamedTuple):
    """The graph that a text draws."""

    kinds: str = ""
    """A letter for each piece; empty where every piece is a step."""
    states: list[int] | None = None
    """The state after each piece; None where each piece is a new step."""
    starts: list[int] | None = None
    """Where each piece begins, in the units of JavaScript's strings (UTF-16); None where the pieces are lines."""


def _graphs(
    template: TemplateSource | None, steps: StepFormat | None, texts: Sequence[str], questions: Sequence[str]
) -> list[Graph]:
    if template is None:
        return [Graph()] * len(texts)
    parser = ResponseParser(template, steps=steps)
    speaks = marker_finder(block_markers(template, tuple(BLOCKS)))
    return [
        Graph() if steps is None and speaks(text) is None else _graph_of(parser.parse(cut(text), question), cut(text))
        for text, question in zip(texts, questions, strict=True)
    ]


def _graph_of(found: ReasoningGraph, text: str) -> Graph:
    states, kinds = [state for _, state in found.lines], "".join(LINE_KINDS[kind] for kind, _ in found.lines)
    starts = _utf16(text, found.starts) if found.starts else None
    chain = states == list(range(1, len(states) + 1))
    return Graph(starts=starts) if chain else Graph(kinds, states, starts)


def _utf16(text: str, places: Sequence[int]) -> list[int]:
    """Places in a text as JavaScript counts them, which takes two units for some characters."""
    if text.isascii():
        return list(places)
    return [len(text[:place].encode("utf-16-le", "surrogatepass")) // 2 for place in places]


def classified_pieces(
    text: str, question: str, template: TemplateSource | None, steps: StepFormat | None = None, answers: bool = False
) -> list[tuple[str, str]]:
    """The pieces of a response with their kinds; the last one is the `answer` if the response states one."""
    if template is None and steps is None:
        found = [("", line) for line in text.split("\n") if line.strip()]
    else:
        graph = ResponseParser(template, steps=steps).parse(text, question)
        lines = (
            [text[start:end].strip() for start, end in pairwise([*graph.starts, len(text)])]
            if steps
            else list(filter(str.strip, text.split("\n")))
        )
        found = [(kind, line) for (kind, _), line in zip(graph.lines, lines, strict=True)]
    if answers and found and found[-1][0] in ("", "step"):
        found[-1] = "answer", found[-1][1]
    return found


def _coded(column: list, values: list | None) -> list:
    if values is None:
        return column
    codes = {value: code for code, value in enumerate(values)}
    return [codes[value] for value in column]


def cut(text: str) -> str:
    """At most `MAX_CHARS` of a text, with a note of how much is left out."""
    left = len(text) - MAX_CHARS
    return text if left <= 0 else f"{text[:MAX_CHARS]}\n[{left:,} more characters are not in this report]"
