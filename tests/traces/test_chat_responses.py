"""Responses as chat models write them, with the graph that a person draws (chat_responses.txt).

A header names the case, its step format, the sequence of states, and the backtracks to nowhere, if any. Each line of a
response has a mark: the state that its step leads to, `j` for a jump, `p` for a pause, `u` for a backtrack to nowhere,
`w` and `-` for words that are no step.
"""

import re
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from astro_factory.core.step_format import StepFormat
from astro_factory.traces.response_parser import ResponseParser
from tests.traces.test_render import RENDERERS

TEXT = (Path(__file__).parent / "chat_responses.txt").read_text(encoding="utf-8")
CASES = [case.split("\n") for case in re.split(r"^=== ", TEXT, flags=re.MULTILINE)[1:]]
PARSERS = {
    name: ResponseParser(RENDERERS["reflection/math.jinja"].source, steps=StepFormat(format=name))
    for name in ("line", "blank_line", "heading", "numbered")
}
KINDS = {"j": "jump", "p": "words", "u": "unresolved", "w": "words", "-": "words"}


def test_there_are_forty_of_them_in_all_formats():
    formats = [case[0].split(" | ")[1] for case in CASES]
    assert len(CASES) >= 40 and set(formats) == set(PARSERS) and all(formats.count(name) >= 7 for name in PARSERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].split(" | ")[0])
def test_the_graph_is_the_one_that_a_person_draws(case):
    _, name, sequence, *unresolved = case[0].split(" | ")
    question, lines = case[1], [(line[1 : line.index("]")], line[line.index("]") + 2 :]) for line in case[3:] if line]
    graph = PARSERS[name].parse("\n".join(text for _, text in lines), question)
    drawn = [int(state) for state in sequence.split()]
    if lines[-1][0] == "w" and drawn[-1]:
        drawn.append(drawn[-1])  # the words after the last step are a pause
    assert graph.sequence == drawn
    assert graph.unresolved == int(unresolved[0] if unresolved else 0)
    marks = [(mark, [text for _, text in group]) for mark, group in groupby(lines, key=lambda line: line[0])]
    assert [kind for kind, _ in graph.lines] == [KINDS.get(mark, "step") for mark, _ in marks]
    text = "\n".join(text for _, text in lines)
    pieces = [text[start:end].strip() for start, end in pairwise([*graph.starts, len(text)])]
    assert pieces == ["\n".join(texts).strip() for _, texts in marks]
    for mark, texts in marks:
        if mark.isdigit():
            written = "\n".join(texts).strip()
            assert written.replace("**", "").endswith(graph.texts[int(mark)].replace("**", ""))
            assert len(written) - len(graph.texts[int(mark)]) < 16  # the marker
