"""Functions that read whole responses take time linear in a response, whatever a model writes."""

from collections.abc import Callable
from random import Random

import pytest

from astro_factory.core.problems import Problem
from astro_factory.core.step_format import StepFormat
from astro_factory.traces.final_path import final_path
from astro_factory.traces.response_parser import ResponseParser, response_measures
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.domain_check import domain_check
from astro_factory.verifiers.math.extraction import final_answer, tagged_answer
from astro_factory.verifiers.puzzles import domain_names, get_domain
from tests.hostile_text import is_superlinear, repeated
from tests.traces.test_render import RENDERERS

CI, NIGHTLY = 2000, 10_000
COUNTDOWN = Problem("p", "numbers 3 4 10 target 17", "", "countdown", {"numbers": [4, 10, 3], "target": 17})
FORMATS = {name: StepFormat(format=name) for name in ("line", "blank_line", "heading", "numbered")}
MATH, WORDED = RENDERERS["reflection/math.jinja"].source, RENDERERS["reflection/countdown.jinja"].source
PARSERS = {name: ResponseParser(MATH, steps=steps) for name, steps in FORMATS.items()} | {
    "lines": ResponseParser(WORDED)
}

Reader = Callable[[str], object]


def puzzle(name: str) -> Problem:
    if name == "countdown":
        return COUNTDOWN
    domain, random = get_domain(name), Random(0)
    return next(found for _ in range(1000) if (found := domain.draw(random, domain.sizes[0])))


def readers() -> dict[str, Reader]:
    found: dict[str, Reader] = {"boxed or stated answer": final_answer, "tagged answer": tagged_answer}
    for name in ("countdown", *domain_names()):
        problem, measures = puzzle(name), response_measures(WORDED)
        found |= {
            f"moves of {name}": lambda text, problem=problem, measures=measures: measures(problem, text),
            f"verdict of {name}": lambda text, problem=problem: get_verifier(problem.verifier).verify(problem, text),
            f"check of {name}": lambda text, problem=problem: domain_check(problem, text, 1000),
            f"path of {name}": lambda text, problem=problem: final_path(problem, text, PARSERS["lines"]),
        }
    for name, parser in PARSERS.items():
        found[f"graph of {name}"] = lambda text, parser=parser: measured(parser.parse(text, "What is 1 + 1?"))
    for name, steps in FORMATS.items():
        found[f"steps of {name}"] = lambda text, steps=steps: (steps.split(text), steps.is_open(text))
    return found


def measured(graph) -> tuple[int, ...]:
    return graph.backtracks, graph.dead_ends, graph.revisited


READERS = readers()
ATOMS = (
    " ", "\n", "a", "1", "\n ", "a\n", "a\n\n", " a\n", "a:\n\n", "**", "***\n\n",
    "1 + 1 = 2 left 2 1\n", "1 * 1 = 1 left 1 1\n", "1 + 1 = 2 left 2\n", "1+1=2 left 2 ",
    "answer 1\n", "answer ", "( ",
    "take 1 left 2\n", "take 1 left\n", "try 1 : \n", "try red : \n",
    "Ann parent Tom\n",
    "Tom child Ann\nAnn parent Tom\n",
    "\\[", "\\[ \\]", "$$\n", "$$ a\n\n", "```\n", "~~~\n", "\\begin{align}", "\\begin{align}\\end{align}", "[asy]",
    "| a |\n",
    "## Step 1: a\n\n", "## Step 1: ", "1. a\n", "1. a\n\nb\n\n", "Step 1\n",
    "a\n\nWait, let's go back to step 1.\n\n", "Let's go back to step 1.\n\n", "a b\n\nLet's go back to \"a c\".\n\n",
    "Go back to where we had 3 4 10\n", "Go back to a b\na c\n", "No .\n",
    "redo step 1 ", "let's ", "wait ", "“", "\" ",
    "The answer is ", "the answer is 1. ", "answer\n", "\\boxed{", "\\boxed{1}",
    "<answer>", "<answer>1</answer>",
    "#### 1\n", "####",
)  # fmt: skip


def distinct(atom: str):
    """The same again and again, each with a number of its own."""
    return lambda size: "".join(f"{atom.rstrip()} {number}\n" for number in range(max(1, size // (len(atom) + 5))))


def check(name: str, size: int, makers) -> None:
    for make in makers:
        assert not is_superlinear(READERS[name], make, size), f"{name} on {make(80)!r}"


@pytest.mark.parametrize("name", READERS)
def test_responses_are_read_in_linear_time(name):
    check(name, CI, [repeated(atom) for atom in ATOMS])


@pytest.mark.nightly
@pytest.mark.parametrize("name", READERS)
def test_long_responses_are_read_in_linear_time(name):
    makers = [repeated(atom, ending=ending) for atom in ATOMS for ending in ("", "x", "\n", "}", "answer 1\n")]
    check(name, NIGHTLY, [*makers, *map(distinct, ATOMS)])


@pytest.mark.parametrize("name", READERS)
def test_any_length_is_read(name):
    """No reader recurses into a response, and no number in it is too long."""
    for atom in (
        "1 + 1 = 2 left 2 1\n",
        "Ann parent Tom\n",
        "take 1 left 2\n",
        "## Step 1: a\n\n",
        "go back to step 1",
    ):
        READERS[name](atom * 2000)
    number = "1" * 5000
    READERS[name](f"a\n\nLet's go back to step {number}.\n\nredo step {number}\n\nStep {number}: answer {number}")
