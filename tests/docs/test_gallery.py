"""Every trace of the gallery: no dangling reference, no cut formula, no false check, no answer that was given up."""

import re
from collections import Counter
from functools import cache

import pytest

from astro_factory.traces.gist import MAX_CHARS
from astro_factory.traces.response_parser import ResponseParser
from astro_factory.traces.trace_parser import parse
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.math.claims import claims
from astro_factory.verifiers.math.extraction import final_answer
from docs.trace_gallery import Example, examples, renderer

EXAMPLES = examples()
NAMES = [f"{example.source}-{example.template}-{number}" for number, example in enumerate(EXAMPLES)]
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
MATH = get_verifier("math")
GIVEN_UP = {"math": "is not the answer", "paper": "solving the problem correctly so far."}


@cache
def parser(template: str, layout: str) -> ResponseParser:
    steps = next(example.layout for example in EXAMPLES if example.layout.format == layout)
    return ResponseParser(renderer(template).source, steps=steps)


def moves(example: Example) -> list[str]:
    """The texts between the steps, but for the answer."""
    return [segment.text for segment in example.segments if segment.kind not in ("step", "answer")]


def test_twenty_from_each_source_in_all_formats_and_all_different():
    assert Counter(example.source for example in EXAMPLES) == {"chat": 20, "smoke": 20}
    assert {example.layout.format for example in EXAMPLES} == {"line", "blank_line", "heading", "numbered"}
    assert len({example.text for example in EXAMPLES}) == 40
    kinds = Counter(segment.kind for example in EXAMPLES for segment in example.segments)
    assert min(kinds[kind] for kind in ("step", "reflect", "verdict", "backtrack", "restart", "answer")) >= 10


@every_example
def test_it_says_what_it_was_made_from(example):
    found = parse(example.text, example.tree, renderer(example.template), example.layout)
    assert found == example.sequence
    assert MATH.verify(example.tree.problem, example.text).correct


@every_example
def test_every_place_to_go_back_to_exists(example):
    graph = parser(example.template, example.layout.format).parse(example.text, example.tree.problem.question)
    jumps = sum(segment.kind in ("backtrack", "restart") for segment in example.segments)
    assert (graph.unresolved, len(graph.jumps())) == (0, jumps)
    numbers = {int(found) for found in re.findall(r"\bstep (\d+)", " ".join(moves(example)))}
    assert max(numbers, default=0) <= sum(segment.kind == "step" for segment in example.segments)
    assert not numbers or example.layout.has_markers


@every_example
def test_no_formula_is_cut(example):
    for text in moves(example):
        assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
        assert text.count("{") == text.count("}")
        assert not re.search(r"\\[\[\]()]|\\begin|\n", text)
        assert len(text) <= MAX_CHARS + 100
        assert all(len(quote) <= MAX_CHARS for quote in re.findall(r'"(.*)"', text))


@every_example
def test_every_check_is_true_and_refers_to_what_the_text_says(example):
    for text in moves(example):
        assert all(claim.holds for claim in claims(text.partition(", not ")[0]))
        if stated := re.search(r", not (\$.*?\$|[\d.,/]+)\.$", text):
            assert stated[1].strip("$").strip() in example.text[: example.text.index(text)]


@every_example
def test_no_beginning_of_it_has_an_answer_that_it_gave_up(example):
    place = 0
    while (place := example.text.find(GIVEN_UP[example.template], place)) >= 0:
        place += len(GIVEN_UP[example.template])
        if re.search(r"seems to be correct so far\W*$", example.text[:place]):
            continue
        following = re.search(r"\\boxed|answer is", example.text[place:])
        assert following is not None
        assert not any(final_answer(example.text[:end]) for end in range(place, place + following.start()))


@every_example
def test_its_sentences_are_whole(example):
    for text in moves(example):
        assert re.match(r"[A-Z]", text) and re.search(r'[.?"]$', text)
        assert not re.search(r'  | [,.]|\.\.(?!\.)(?<!\.\.\.)|""|\$\$|None|{{|}}|\(\)', text)
        sentences = re.split(r"(?<=[.?]) ", text)
        assert len(set(sentences)) == len(sentences)
    if example.template == "math":
        assert example.segments[-1].kind == "answer" and example.text.endswith("$.")
