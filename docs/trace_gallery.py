"""docs/reference/gallery.md: forty traces, rendered from solutions in docs/gallery.

`smoke.txt` has solutions that the search of `specs/llama3_8b.yaml --profile smoke` found, `chat.txt` solutions in the
style of chat models. A file is a list of problems (`=== step format | answer`, then the question) with their solutions,
each after a line `---`.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.step_format import StepFormat
from astro_factory.core.trees import Tree, TreeNode
from astro_factory.core.verdicts import Outcome
from astro_factory.traces.render import Segment, render, trace_text
from astro_factory.traces.sequence import Confirm, SequenceOptions, sample_sequence
from astro_factory.traces.template_loader import compile_template
from astro_factory.traces.template_renderer import TemplateRenderer
from astro_factory.verifiers import get_verifier

FOLDER = Path(__file__).parent / "gallery"
COUNTS = {"chat": {"math": 16, "paper": 4}, "smoke": {"math": 10, "paper": 10}}
"""Traces from each file, by template."""
_TITLES = {"chat": "Solutions in the style of chat models", "smoke": "Trees of a smoke build"}
_INTRODUCTION = """\
# Gallery of traces

Forty traces as they are, for reading. [Traces](../guide/traces.md) says how they are made. `tests/docs/test_gallery.py`
checks each of them: every place to go back to exists, no formula is cut, every check is true, and nothing that a trace
gives up counts as its answer.
"""
_ABOUT = {
    "chat": "Solutions of seven problems, right and wrong, in four step formats.",
    "smoke": "The model of a smoke build knows the form of a solution and guesses the numbers, so its steps are "
    "nonsense. What is between them is what the templates say.",
}


class Example(NamedTuple):
    """One trace of the gallery."""

    source: str
    template: str
    layout: StepFormat
    tree: Tree
    sequence: list[int]
    segments: list[Segment]
    text: str


@cache
def renderer(template: str) -> TemplateRenderer:
    return TemplateRenderer(compile_template(f"reflection/{template}.jinja", [shipped_folder("templates")]))


@cache
def examples() -> list[Example]:
    """All traces: those of a file go through its trees in turn, with one seed after another."""
    return [example for source, counts in COUNTS.items() for example in _examples(source, counts)]


def _examples(source: str, counts: dict[str, int]) -> Iterator[Example]:
    trees = list(_trees((FOLDER / f"{source}.txt").read_text(encoding="utf-8")))
    seen: set[str] = set()
    place = 0
    for template, count in counts.items():
        options = SequenceOptions((1, 2), at_least=1, confirm=Confirm(min_value=0.5, share=0.3))
        while count:
            layout, tree = trees[place % len(trees)]
            sequence = sample_sequence(tree, options, place)
            assert sequence is not None, "each tree has a right and a wrong end"
            segments = render(tree, sequence, renderer(template), place, layout)
            text = trace_text(segments, layout)
            if text not in seen:
                seen.add(text)
                count -= 1
                yield Example(source, template, layout, tree, sequence, segments, text)
            place += 1


def _trees(text: str) -> Iterator[tuple[StepFormat, Tree]]:
    for number, case in enumerate(re.split(r"^=== ", text, flags=re.MULTILINE)[1:]):
        (head, _, question), *solutions = (
            part.strip("\n").partition("\n") if at == 0 else part.strip("\n")
            for at, part in enumerate(re.split(r"^---\n", case, flags=re.MULTILINE))
        )
        name, _, answer = head.partition(" | ")
        layout = StepFormat.model_validate({"format": name})
        yield layout, _tree(Problem(f"{number}", question, answer, "math"), layout, [str(part) for part in solutions])


def _tree(problem: Problem, layout: StepFormat, solutions: list[str]) -> Tree:
    """The tree of some solutions, which share the steps they begin with. A node's value is the share of right ends."""
    verifier, tree = get_verifier(problem.verifier), Tree(problem, [TreeNode(-1, "")])
    scores: dict[int, list[float]] = {}
    for solution in solutions:
        pieces = layout.split(solution)
        steps = [piece.text for piece in pieces if piece.number is not None or not layout.has_markers]
        at, path = 0, []
        for count, step in enumerate(steps, start=1):
            found = next((child for child in tree.children(at) if tree.nodes[child].text == step), len(tree.nodes))
            if found == len(tree.nodes):
                tree.nodes.append(TreeNode(at, step, prior=1.0, facts=verifier.facts(problem, steps[:count])))
            at = found
            path.append(at)
        verdict, end = verifier.verify(problem, solution), tree.nodes[at]
        end.terminal, end.verdict, end.answer = True, str(verdict.outcome), verdict.extracted
        for node in path:
            scores.setdefault(node, []).append(float(verdict.outcome is Outcome.CORRECT))
    for node, found in scores.items():
        tree.nodes[node].value = sum(found) / len(found)
    return tree


def gallery_page() -> Iterator[str]:
    """The parts of the page."""
    yield _INTRODUCTION
    for source in COUNTS:
        yield f"## {_TITLES[source]}"
        yield _ABOUT[source]
        own = [example for example in examples() if example.source == source]
        for number, example in enumerate(own, start=1):
            yield f"### {source} {number}: `{example.template}.jinja`, `steps: {{format: {example.layout.format}}}`"
            yield f"````text\n{example.tree.problem.question}\n````\n\n````text\n{example.text}\n````"
