from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.step_format import StepFormat
from astro_factory.spec.compose import load
from astro_factory.traces.backtrack_markers import backtrack_counter, backtrack_markers
from astro_factory.traces.render import render, trace_text
from astro_factory.traces.sequence import Confirm, Early, SequenceOptions, merge_paths, sample_sequence
from astro_factory.traces.template_loader import compile_template
from astro_factory.traces.template_renderer import TemplateRenderer, seeded_choice
from astro_factory.traces.trace_parser import parse
from tests.traces.trees import countdown_tree, random_trees

TEMPLATES = shipped_folder("templates")
SHIPPED = sorted(path.relative_to(TEMPLATES).as_posix() for path in (TEMPLATES / "reflection").glob("*.jinja"))
RENDERERS = {name: TemplateRenderer(compile_template(name, [TEMPLATES])) for name in SHIPPED}
COUNTDOWN = RENDERERS["reflection/countdown.jinja"]


def renderer_of(text: str, **others: str) -> TemplateRenderer:
    return TemplateRenderer(TemplateSource(entry="mine.jinja", sources={"mine.jinja": text, **others}))


def lines_of(renderer: TemplateRenderer, sequence_: list[int], seed: int = 0) -> list[str]:
    return trace_text(render(countdown_tree(), sequence_, renderer, seed)).split("\n")


def terminal_at(tree, *results: str) -> int:
    """The node that the steps with these results lead to."""
    index = 0
    for result in results:
        index = next(child for child in tree.children(index) if tree.nodes[child].facts["result"] == result)
    return index


def test_countdown_trace():
    tree = countdown_tree()
    way = merge_paths(tree, [terminal_at(tree, "7", "3")], terminal_at(tree, "14", "17"))
    first, second = "Wait ,", "But wait , are we correct so far ?"
    seed = next(
        s for s in range(100) if [seeded_choice(s)(3) for _ in "1"] == [0] and "But" in lines_of(COUNTDOWN, way, s)[5]
    )
    assert lines_of(COUNTDOWN, way, seed) == [
        "4 + 3 = 7 left 10 7",
        "10 - 7 = 3 left 3",
        f"{first} 17 - 3 = 14 No . Go back to where we had 4 10 3",
        "10 + 4 = 14 left 3 14",
        "14 + 3 = 17 left 17",
        f"{second} 17 - 17 = 0 Yes .",
        "answer 17",
    ]


def test_countdown_goes_back_to_an_inner_state():
    tree = countdown_tree()
    way = merge_paths(tree, [terminal_at(tree, "14", "11")], terminal_at(tree, "14", "17"))
    assert lines_of(COUNTDOWN, way)[2].endswith("17 - 11 = 6 No . Go back to where we had 3 14")


def test_the_paper_restarts_at_the_root_and_names_steps_elsewhere():
    renderer, tree = RENDERERS["reflection/paper.jinja"], countdown_tree()
    wrong, right = [terminal_at(tree, "14", "11"), terminal_at(tree, "7", "3")], terminal_at(tree, "14", "17")
    lines = lines_of(renderer, merge_paths(tree, wrong, right))
    reflection = "But wait, are we solving the problem correctly so far? Hmm..."
    doubt = "I'm not sure if we're solving the problem correctly so far."
    assert lines[2] == f"{reflection} {doubt} Let's restart our solution from the beginning."
    assert lines[5] == f'{reflection} {doubt} Let\'s go back to where we wrote "10 + 4 = 14 left 3 14"'
    assert lines[-2] == f"{reflection} Our solution seems to be correct so far."


def test_direct_contains_only_steps_and_answer():
    tree = countdown_tree()
    assert lines_of(RENDERERS["reflection/direct.jinja"], merge_paths(tree, [], terminal_at(tree, "14", "17"))) == [
        "10 + 4 = 14 left 3 14",
        "14 + 3 = 17 left 17",
        "answer 17",
    ]


def test_segments_have_kinds_and_nodes():
    tree = countdown_tree()
    wrong, right = terminal_at(tree, "14", "11"), terminal_at(tree, "14", "17")
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
    restart = render(tree, merge_paths(tree, [terminal_at(tree, "7", "3")], right), COUNTDOWN, 0)[4]
    assert (restart.kind, restart.node) == ("restart", 0)


@settings(max_examples=60, deadline=None)
@given(random_trees(), st.data())
def test_parse_inverts_render(tree, data):
    """For every shipped template, every sequence and every seed; offsets and counted backtracks agree as well."""
    name, seed = data.draw(st.sampled_from(SHIPPED)), data.draw(st.integers(0, 2**62))
    confirm = Confirm(min_value=0.5, share=0.5) if name == "reflection/paper.jinja" else None
    merge = data.draw(st.sampled_from(["deepest", "any", "root"]))
    early = data.draw(st.sampled_from([None, Early(share=0.5)]))
    visited = sample_sequence(tree, SequenceOptions((0, 4), merge=merge, confirm=confirm, early=early), seed)
    segments = render(tree, visited, RENDERERS[name], seed)
    text = trace_text(segments)
    assert [text[s.start : s.end] for s in segments] == [s.text for s in segments]
    assert all(s.text == tree.nodes[s.node].text for s in segments if s.kind == "step")
    assert parse(text, tree, RENDERERS[name]) == visited
    jumps = sum(a != b and tree.nodes[b].parent != a for a, b in pairwise(visited))
    jumps = 0 if name == "reflection/direct.jinja" else jumps
    assert COUNTERS[name](text) == jumps


FORMATS = [
    StepFormat(format="line"),
    StepFormat(format="blank_line"),
    StepFormat(format="heading"),
    StepFormat(format="numbered"),
    StepFormat(format="heading", pattern="Schritt {n}:"),
]


@settings(max_examples=60, deadline=None)
@given(random_trees(), st.sampled_from(FORMATS), st.sampled_from(SHIPPED), st.integers(0, 2**62))
def test_parse_inverts_render_in_all_step_formats(tree, layout, name, seed):
    for node in tree.nodes[1::3]:
        node.text += "\n\\[\nx\n\n\\]\n\nand | so"
    visited = sample_sequence(tree, SequenceOptions((0, 4), merge="any"), seed)
    segments = render(tree, visited, RENDERERS[name], seed, layout)
    text = trace_text(segments, layout)
    assert [text[s.start : s.end] for s in segments] == [s.text for s in segments]
    assert parse(text, tree, RENDERERS[name], layout) == visited


def test_steps_are_joined_and_numbered_in_their_format():
    tree = countdown_tree()
    way = merge_paths(tree, [terminal_at(tree, "14", "11")], terminal_at(tree, "14", "17"))
    layout = StepFormat(format="heading")
    text = trace_text(render(tree, way, RENDERERS["reflection/terse.jinja"], 0, layout), layout)
    assert text.split("\n\n") == [
        "## Step 1: 10 + 4 = 14 left 3 14",
        "## Step 2: 14 - 3 = 11 left 11",
        "Wrong so back to 3 14",
        "## Step 3: 14 + 3 = 17 left 17",
        "Right",
        "answer 17",
    ]


COUNTERS = {name: backtrack_counter(renderer.source) for name, renderer in RENDERERS.items()}


def test_parse_rejects_other_texts():
    tree = countdown_tree()
    text = "\n".join(lines_of(COUNTDOWN, merge_paths(tree, [], terminal_at(tree, "14", "17"))))
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
def test_counting_backtracks_in_a_response(response, count):
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
    assert backtrack_markers(renderer_of(text).source) == [
        ("Return", "now", "to", "the", "state"),
        ("Back", "to"),
        ("Anew",),
    ]


def test_a_phrase_without_own_words_cannot_be_counted():
    counter = backtrack_counter(renderer_of("{% block backtrack %}{{ target.facts.left }}{% endblock %}").source)
    assert counter("4 10 3\n4 10 3") == 0


def test_inheritance_super_includes_and_imports():
    renderer = renderer_of(
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
    lines = lines_of(renderer, merge_paths(tree, [terminal_at(tree, "7", "3")], terminal_at(tree, "14", "17")))
    assert lines[2] == "Not 3! Back"
    assert lines[5] == "Yes , 17"


def test_attempts_are_counted():
    tree = countdown_tree()
    wrong, right = [terminal_at(tree, "14", "11"), terminal_at(tree, "7", "3")], terminal_at(tree, "14", "17")
    lines = lines_of(
        renderer_of("{% block backtrack %}try {{ attempt }} failed{% endblock %}"), merge_paths(tree, wrong, right)
    )
    assert [line for line in lines if "try" in line] == ["try 1 failed", "try 2 failed"]


def test_a_seed_decides_the_wording():
    tree = countdown_tree()
    way = merge_paths(tree, [terminal_at(tree, "7", "3")], terminal_at(tree, "14", "17"))
    texts = {"\n".join(lines_of(COUNTDOWN, way, seed)) for seed in range(60)}
    assert len(texts) == 9
    assert lines_of(COUNTDOWN, way, 4) == lines_of(COUNTDOWN, way, 4)


def grown(start: str, growth: str) -> str:
    """A block that grows a value 99 times."""
    loop = f"{{% for i in range(99) %}}{{% set ns.x = {growth} %}}{{% endfor %}}"
    return f"{{% block wrong %}}{{% set ns = namespace(x={start}) %}}{loop}{{% endblock %}}"


def block(text: str, name: str = "wrong") -> str:
    return f"{{% block {name} %}}{text}{{% endblock %}}"


FAILURES = {
    "nested loops": (
        block("{% for i in range(999) %}{% for j in range(999) %}{% endfor %}{% endfor %}"),
        "mine.jinja:1:1 E312",
    ),
    "doubling recursion": (
        "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n else n }}{% endmacro %}" + block("{{ f(40) }}"),
        "mine.jinja:1:1 E312",
    ),
    "endless recursion": ("{% macro f() %}{{ f() }}{% endmacro %}" + block("{{ f() }}"), "mine.jinja:1:1 E311"),
    "doubled text": (grown("'ab'", "ns.x ~ ns.x"), "mine.jinja:1:1 E312"),
    "doubled list": (grown("[1]", "ns.x + ns.x"), "mine.jinja:1:1 E312"),
    "squared number": (grown("9", "ns.x * ns.x"), "mine.jinja:1:1 E311"),
    "center": (block("{{ 'a'.center(999999999) }}"), "mine.jinja:1:1 E311"),
    "format": (block("{{ '{:999999999}'.format(1) }}"), "mine.jinja:1:1 E311"),
    "percent": (block("{{ '%999999999d' % node.value }}"), "mine.jinja:1:1 E311"),
    "replace": (
        block("{% set x %}{% for i in range(9000) %}abc{% endfor %}{% endset %}{{ x | replace('a', x) }}"),
        "mine.jinja:1:1 E312",
    ),
    "unknown fact": (block("\n{{ node.facts.lft }}"), "mine.jinja:2:15 E311"),
    "attribute of text": (block("{{ node.facts.text * 2 }}"), "mine.jinja:1:32 E311"),
    "repeated text": (block("{{ 'a' * 99 }}"), "mine.jinja:1:1 E311"),
    "power": (block("{{ 9 ** 9 }}"), "mine.jinja:1:1 E311"),
    "whole node": (block("{{ node }}"), "mine.jinja:1:1 E311"),
    "pick from text": (block("{{ pick('ab') }}"), "mine.jinja:1:1 E311"),
    "division by zero": (block("{{ 1 / 0 }}"), "mine.jinja:1:1 E311"),
    "target at the end": (block("{{ target.text }}", "right"), "mine.jinja:1:21 E311"),
    "private attribute": (block("{{ node.__class__ }}"), "mine.jinja:1:1 E311"),
    "unknown name": (block("{{ open('/etc/passwd') }}"), "mine.jinja:1:21 E311"),
    "long block": (block("{% for i in range(9999) %}xyz{% endfor %}"), "mine.jinja:1:1 E312"),
    "extends itself": ('{% extends "mine.jinja" %}', "mine.jinja:1:1 E311"),
    "syntax": (block("\n{{ 1 + }}"), "mine.jinja:2:1 E303"),
}


@pytest.mark.parametrize("text, place", FAILURES.values(), ids=FAILURES)
def test_a_failure_is_a_user_error_with_a_place(text, place, golden):
    tree = countdown_tree()
    with pytest.raises(UserError) as error:
        lines_of(renderer_of(text), merge_paths(tree, [terminal_at(tree, "7", "3")], terminal_at(tree, "14", "17")))
    assert str(error.value).startswith(place)
    golden(str(error.value))


@pytest.mark.parametrize("name", [name for name in SHIPPED if "paper" not in name and "math" not in name])
def test_the_small_models_vocabulary_covers_each_template(name):
    assert byte_share(name) == 0


def test_the_papers_prose_is_almost_covered():
    """Six tokens in a hundred are bytes: the vocabulary does not contain "we're"."""
    assert 0 < byte_share("reflection/paper.jinja") < 0.07


def byte_share(name: str) -> float:
    """Share of byte tokens when the quickstart's tokenizer encodes traces of a countdown puzzle."""
    tree = countdown_tree()
    way = merge_paths(tree, [terminal_at(tree, "14", "11"), terminal_at(tree, "7", "3")], terminal_at(tree, "14", "17"))
    texts = [trace_text(render(tree, way, RENDERERS[name], seed)) for seed in range(20)]
    tokens = [token for text in texts for token in quickstart_tokenizer().tokenize(text)]
    return sum(token.startswith("<0x") for token in tokens) / len(tokens)


@cache
def quickstart_tokenizer():
    from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer

    vocabulary = load(shipped_folder("specs") / "common/tiny_llama.yaml").data["models"]["blank"]["vocabulary"]
    return build_tokenizer(vocabulary["words"], vocabulary["numbers"], CHAT_FORMATS["minimal"], 1024)


def test_a_template_can_print_step_numbers():
    tree = countdown_tree()
    wrong, right = [terminal_at(tree, "14", "11"), terminal_at(tree, "7", "3")], terminal_at(tree, "14", "17")
    lines = lines_of(RENDERERS["reflection/pointers.jinja"], merge_paths(tree, wrong, right))
    assert lines[2] == "Step 2 : 17 - 11 = 6 Wrong . Return to step 0 : 4 10 3"
    assert lines[5] == "Step 4 : 17 - 3 = 14 Wrong . Return to step 1 : 3 14"


def test_no_scaffold_is_countdown_without_its_check_and_verdict():
    tree = countdown_tree()
    way = merge_paths(tree, [terminal_at(tree, "14", "11"), terminal_at(tree, "7", "3")], terminal_at(tree, "14", "17"))
    full, bare = (lines_of(RENDERERS[f"reflection/{name}.jinja"], way) for name in ("countdown", "no_scaffold"))
    assert bare == [line.partition(" No . ")[2] or line for line in full if not line.endswith("Yes .")]


def test_the_reference_lists_every_shipped_template():
    page = (Path(__file__).parents[2] / "docs/reference/templates.md").read_text(encoding="utf-8")
    assert [name for name in SHIPPED if name not in page] == []
