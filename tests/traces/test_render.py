from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.spec.compose import load
from astro_factory.traces.backtrack_markers import backtrack_counter, backtrack_markers
from astro_factory.traces.render import render, trace_text
from astro_factory.traces.sandbox import MAX_CHARS
from astro_factory.traces.sequence import Confirm, Early, SequenceOptions, merge_paths, sample_sequence
from astro_factory.traces.template_loader import compile_template
from astro_factory.traces.template_renderer import TemplateRenderer, seeded
from astro_factory.traces.trace_parser import parse
from tests.traces.trees import countdown_tree, random_trees

TEMPLATES = shipped_folder("templates")
SHIPPED = sorted(path.relative_to(TEMPLATES).as_posix() for path in (TEMPLATES / "reflection").glob("*.jinja"))
WORDINGS = {name: TemplateRenderer(compile_template(name, [TEMPLATES])) for name in SHIPPED}
COUNTDOWN = WORDINGS["reflection/countdown.jinja"]


def made(text: str, **others: str) -> TemplateRenderer:
    return TemplateRenderer(TemplateSource(entry="mine.jinja", sources={"mine.jinja": text, **others}))


def said(renderer: TemplateRenderer, sequence_: list[int], seed: int = 0) -> list[str]:
    return trace_text(render(countdown_tree(), sequence_, renderer, seed)).split("\n")


def end_of(tree, *results: str) -> int:
    """The terminal that the steps with these results lead to."""
    index = 0
    for result in results:
        index = next(child for child in tree.children(index) if tree.nodes[child].facts["result"] == result)
    return index


def test_countdown_is_worded_as_the_small_model_learns_it():
    tree = countdown_tree()
    way = merge_paths(tree, [end_of(tree, "7", "3")], end_of(tree, "14", "17"))
    first, second = "Wait ,", "But wait , are we correct so far ?"
    seed = next(s for s in range(100) if [seeded(s)(3) for _ in "1"] == [0] and "But" in said(COUNTDOWN, way, s)[5])
    assert said(COUNTDOWN, way, seed) == [
        "4 + 3 = 7 left 10 7",
        "10 - 7 = 3 left 3",
        f"{first} 17 - 3 = 14 No . Go back to where we had 4 10 3",
        "10 + 4 = 14 left 3 14",
        "14 + 3 = 17 left 17",
        f"{second} 17 - 17 = 0 Yes .",
        "answer 17",
    ]


def test_countdown_goes_back_to_an_inner_state_larger_number_first():
    tree = countdown_tree()
    way = merge_paths(tree, [end_of(tree, "14", "11")], end_of(tree, "14", "17"))
    assert said(COUNTDOWN, way)[2].endswith("17 - 11 = 6 No . Go back to where we had 3 14")


def test_the_paper_restarts_at_the_root_and_names_steps_elsewhere():
    renderer, tree = WORDINGS["reflection/paper.jinja"], countdown_tree()
    wrong, right = [end_of(tree, "14", "11"), end_of(tree, "7", "3")], end_of(tree, "14", "17")
    lines = said(renderer, merge_paths(tree, wrong, right))
    reflection = "But wait, are we solving the problem correctly so far? Hmm..."
    doubt = "I'm not sure if we're solving the problem correctly so far."
    assert lines[2] == f"{reflection} {doubt} Let's restart our solution from the beginning."
    assert lines[5] == f'{reflection} {doubt} Let\'s go back to where we wrote "10 + 4 = 14 left 3 14"'
    assert lines[-2] == f"{reflection} Our solution seems to be correct so far."


def test_direct_says_steps_and_answer_only():
    tree = countdown_tree()
    assert said(WORDINGS["reflection/direct.jinja"], merge_paths(tree, [], end_of(tree, "14", "17"))) == [
        "10 + 4 = 14 left 3 14",
        "14 + 3 = 17 left 17",
        "answer 17",
    ]


def test_segments_say_what_they_are():
    tree = countdown_tree()
    wrong, right = end_of(tree, "14", "11"), end_of(tree, "14", "17")
    segments = render(tree, merge_paths(tree, [wrong], right), COUNTDOWN, 0)
    inner = tree.nodes[right].parent
    assert [(segment.kind, segment.node) for segment in segments] == [
        ("step", inner),
        ("step", wrong),
        ("reflect", wrong),
        ("verdict", wrong),
        ("backtrack", inner),
        ("step", right),
        ("reflect", right),
        ("verdict", right),
        ("answer", right),
    ]
    restart = render(tree, merge_paths(tree, [end_of(tree, "7", "3")], right), COUNTDOWN, 0)[4]
    assert (restart.kind, restart.node) == ("restart", 0)


@settings(max_examples=60, deadline=None)
@given(random_trees(), st.data())
def test_parse_undoes_render(tree, data):
    """For every shipped template, every sequence and every seed; offsets and counted backtracks agree as well."""
    name, seed = data.draw(st.sampled_from(SHIPPED)), data.draw(st.integers(0, 2**62))
    confirm = Confirm(min_value=0.5, share=0.5) if name == "reflection/paper.jinja" else None
    merge = data.draw(st.sampled_from(["deepest", "any", "root"]))
    early = data.draw(st.sampled_from([None, Early(share=0.5)]))
    visited = sample_sequence(tree, SequenceOptions((0, 4), merge=merge, confirm=confirm, early=early), seed)
    segments = render(tree, visited, WORDINGS[name], seed)
    text = trace_text(segments)
    assert [text[s.start : s.end] for s in segments] == [s.text for s in segments]
    assert all(s.text == tree.nodes[s.node].text for s in segments if s.kind == "step")
    assert parse(text, tree, WORDINGS[name]) == visited
    jumps = sum(a != b and tree.nodes[b].parent != a for a, b in pairwise(visited))
    jumps = 0 if name == "reflection/direct.jinja" else jumps
    assert COUNTERS[name](text) == jumps


COUNTERS = {name: backtrack_counter(renderer.source) for name, renderer in WORDINGS.items()}


def test_parse_refuses_other_texts():
    tree = countdown_tree()
    text = "\n".join(said(COUNTDOWN, merge_paths(tree, [], end_of(tree, "14", "17"))))
    assert parse(text, tree, COUNTDOWN) is not None
    for other in ("", text[:-1], text + "\n", text.replace("Yes", "No"), text.replace("14 + 3", "14 + 2"), "x" + text):
        assert parse(other, tree, COUNTDOWN) is None


@pytest.mark.parametrize(
    "response, count",
    [
        ("1 + 1 = 2 left 2\nWait , 9 - 2 = 8 No . Go back to where we had 9 9", 1),
        ("go back to where we had nothing . Go  back\nto where we had", 2),
        ("Go back to where we hadn 4\nDo not go back", 0),
        ("", 0),
    ],
)
def test_counting_in_what_a_model_wrote(response, count):
    assert COUNTERS["reflection/countdown.jinja"](response) == count


def test_markers_are_the_templates_own_words():
    text = """
    {% set ways = ["Back to", "Return now to the state"] %}
    {% macro to(node) %}{{ pick(ways) }} {{ node.facts.left }}{% endmacro %}
    {% block backtrack %}
    {{ 3 * attempt }}. {% if node.value > 2 %}Never{% else %}{{ to(target) }}, again!{% endif %}
    {% endblock %}
    {% block restart %}Anew.{% endblock %}
    """
    assert backtrack_markers(made(text).source) == [("Return", "now", "to", "the", "state"), ("Back", "to"), ("Anew",)]


def test_a_phrase_of_data_alone_cannot_be_counted():
    counter = backtrack_counter(made("{% block backtrack %}{{ target.facts.left }}{% endblock %}").source)
    assert counter("4 10 3\n4 10 3") == 0


def test_inheritance_super_includes_and_imports():
    renderer = made(
        '{% extends "base.jinja" %}{% from "lib.jinja" import loud %}'
        "{% block wrong %}{{ super() }} {{ loud(node.answer) }}{% endblock %}"
        '{% block right %}{% include "yes.jinja" %}{% endblock %}',
        **{
            "base.jinja": "{% block wrong %}Not{% endblock %}{% block backtrack %}Back{% endblock %}",
            "lib.jinja": "{% macro loud(text) %}{{ text | upper }}{{ pick(['!']) }}{% endmacro %}",
            "yes.jinja": "Yes , {{ node.answer }}",
        },
    )
    tree = countdown_tree()
    lines = said(renderer, merge_paths(tree, [end_of(tree, "7", "3")], end_of(tree, "14", "17")))
    assert lines[2] == "Not 3! Back"
    assert lines[5] == "Yes , 17"


def test_attempts_are_counted():
    tree = countdown_tree()
    wrong, right = [end_of(tree, "14", "11"), end_of(tree, "7", "3")], end_of(tree, "14", "17")
    lines = said(made("{% block backtrack %}try {{ attempt }} failed{% endblock %}"), merge_paths(tree, wrong, right))
    assert [line for line in lines if "try" in line] == ["try 1 failed", "try 2 failed"]


def test_one_trace_has_one_wording():
    tree = countdown_tree()
    way = merge_paths(tree, [end_of(tree, "7", "3")], end_of(tree, "14", "17"))
    texts = {"\n".join(said(COUNTDOWN, way, seed)) for seed in range(60)}
    assert len(texts) == 9
    assert said(COUNTDOWN, way, 4) == said(COUNTDOWN, way, 4)


NESTED = "{% for i in range(999) %}{% for j in range(999) %}{% endfor %}{% endfor %}"
FAILURES = [
    (f"{{% block wrong %}}{NESTED}{{% endblock %}}", "mine.jinja:1:1 E312", "goes round more than 10000 times"),
    (
        "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n else n }}{% endmacro %}{% block wrong %}{{ f(40) }}{% endblock %}",
        "mine.jinja:1:1 E312",
        "goes round more than 10000 times",
    ),
    (
        "{% macro f() %}{{ f() }}{% endmacro %}{% block wrong %}{{ f() }}{% endblock %}",
        "mine.jinja:1:1 E311",
        "calls itself without an end",
    ),
    (
        "{% block wrong %}{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}"
        "{% endfor %}{% endblock %}",
        "mine.jinja:1:1 E312",
        str(MAX_CHARS),
    ),
    (
        "{% block wrong %}{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
        "{% endfor %}{% endblock %}",
        "mine.jinja:1:1 E312",
        str(MAX_CHARS),
    ),
    (
        "{% block wrong %}{% set ns = namespace(x=9) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}"
        "{% endblock %}",
        "mine.jinja:1:1 E311",
        "a number gets too large",
    ),
    ("{% block wrong %}{{ 'a'.center(999999999) }}{% endblock %}", "mine.jinja:1:1 E311", "unsafe"),
    ("{% block wrong %}{{ '{:999999999}'.format(1) }}{% endblock %}", "mine.jinja:1:1 E311", "unsafe"),
    ("{% block wrong %}{{ '%999999999d' % node.value }}{% endblock %}", "mine.jinja:1:1 E311", "put together with ~"),
    (
        "{% block wrong %}{% set x %}{% for i in range(9000) %}abc{% endfor %}{% endset %}"
        "{{ x | replace('a', x) }}{% endblock %}",
        "mine.jinja:1:1 E312",
        str(MAX_CHARS),
    ),
    ("{% block wrong %}\n{{ node.facts.lft }}{% endblock %}", "mine.jinja:2:15 E311", "did you mean 'left'?"),
    ("{% block wrong %}{{ node.facts.text * 2 }}{% endblock %}", "mine.jinja:1:32 E311", "has no attribute 'text'"),
    ("{% block wrong %}{{ 'a' * 99 }}{% endblock %}", "mine.jinja:1:1 E311", "multiply numbers only"),
    ("{% block wrong %}{{ 9 ** 9 }}{% endblock %}", "mine.jinja:1:1 E311", "have no powers"),
    ("{% block wrong %}{{ node }}{% endblock %}", "mine.jinja:1:1 E311", "Node is neither text nor number"),
    ("{% block wrong %}{{ pick('ab') }}{% endblock %}", "mine.jinja:1:1 E311", "pick takes a list of phrases"),
    ("{% block wrong %}{{ 1 / 0 }}{% endblock %}", "mine.jinja:1:1 E311", "division by zero"),
    ("{% block right %}{{ target.text }}{% endblock %}", "mine.jinja:1:21 E311", "'target' is undefined"),
    ("{% block wrong %}{{ node.__class__ }}{% endblock %}", "mine.jinja:1:1 E311", "unsafe"),
    ("{% block wrong %}{{ open('/etc/passwd') }}{% endblock %}", "mine.jinja:1:21 E311", "'open' is undefined"),
    ("{% block wrong %}{% for i in range(9999) %}xyz{% endfor %}{% endblock %}", "mine.jinja:1:1 E312", str(MAX_CHARS)),
    ('{% extends "mine.jinja" %}', "mine.jinja:1:1 E311", "includes, extends or calls itself without an end"),
    ("{% block wrong %}\n{{ 1 + }}{% endblock %}", "mine.jinja:2:1 E303", ""),
]


@pytest.mark.parametrize("text, place, cause", FAILURES)
def test_a_failure_is_the_users_and_has_a_place(text, place, cause):
    tree = countdown_tree()
    with pytest.raises(UserError) as error:
        said(made(text), merge_paths(tree, [end_of(tree, "7", "3")], end_of(tree, "14", "17")))
    assert str(error.value).startswith(place)
    assert cause in str(error.value)


@pytest.mark.parametrize("name", [name for name in SHIPPED if "paper" not in name])
def test_the_small_models_vocabulary_has_the_words_of_each_phrasing(name):
    assert byte_share(name) == 0


def test_the_papers_prose_is_almost_covered():
    """Six tokens in a hundred are bytes: "we're" is no word of the vocabulary."""
    assert 0 < byte_share("reflection/paper.jinja") < 0.07


def byte_share(name: str) -> float:
    """Share of a countdown puzzle's traces that the quickstart's tokenizer spells in bytes."""
    tree = countdown_tree()
    way = merge_paths(tree, [end_of(tree, "14", "11"), end_of(tree, "7", "3")], end_of(tree, "14", "17"))
    texts = [trace_text(render(tree, way, WORDINGS[name], seed)) for seed in range(20)]
    tokens = [token for text in texts for token in quickstart_tokenizer().tokenize(text)]
    return sum(token.startswith("<0x") for token in tokens) / len(tokens)


@cache
def quickstart_tokenizer():
    from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer

    vocabulary = load(shipped_folder("specs") / "common/tiny_llama.yaml").data["models"]["blank"]["vocabulary"]
    return build_tokenizer(vocabulary["words"], vocabulary["numbers"], CHAT_FORMATS["minimal"], 1024)


def test_a_template_knows_the_numbers_of_steps():
    tree = countdown_tree()
    wrong, right = [end_of(tree, "14", "11"), end_of(tree, "7", "3")], end_of(tree, "14", "17")
    lines = said(WORDINGS["reflection/pointers.jinja"], merge_paths(tree, wrong, right))
    assert lines[2] == "Step 2 : 17 - 11 = 6 Wrong . Return to step 0 : 4 10 3"
    assert lines[5] == "Step 4 : 17 - 3 = 14 Wrong . Return to step 1 : 3 14"


def test_no_scaffold_is_countdown_without_its_check_and_verdict():
    tree = countdown_tree()
    way = merge_paths(tree, [end_of(tree, "14", "11"), end_of(tree, "7", "3")], end_of(tree, "14", "17"))
    full, bare = (said(WORDINGS[f"reflection/{name}.jinja"], way) for name in ("countdown", "no_scaffold"))
    assert bare == [line.partition(" No . ")[2] or line for line in full if not line.endswith("Yes .")]


def test_shipped_templates_are_those_of_the_reference():
    page = (Path(__file__).parents[2] / "docs/reference/templates.md").read_text(encoding="utf-8")
    assert [name for name in SHIPPED if name not in page] == []
