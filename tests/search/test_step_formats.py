r"""Searches in each step format, with a scripted model that writes formulas over several lines."""

import pytest

from astro_factory.core.problems import Problem
from astro_factory.core.step_format import StepFormat
from astro_factory.engines import open_engine
from astro_factory.engines.config import ScriptedConfig
from astro_factory.search.config import MctsConfig
from astro_factory.search.driver import Search
from astro_factory.search.step_parser import StepParser
from astro_factory.verifiers import get_verifier
from tests.search.toy import save_tokenizer

FIRST = "We set up the equation:\n\\[\nx + 1 = 4.\n\\]"
SECOND = ["So $x = 3$, and the answer is $\\boxed{3}$.", "So $x = 5$,\nand the answer is $\\boxed{5}$."]
PROBLEM = Problem("p", "Solve $x + 1 = 4$.", "3", "math")
FORMATS = {name: StepFormat(format=name) for name in ("line", "blank_line", "heading", "numbered")}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_tokenizer(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("candidates", ["steps", "rollouts"])
@pytest.mark.parametrize("name", FORMATS)
def test_steps_are_whole_and_continue_each_other(tokenizer, name, candidates):
    steps = FORMATS[name]
    first, seconds = FIRST, SECOND
    if name == "line":  # a stop string inside the formula would end the sample
        first, seconds = (
            first.replace("[\n", "[ ").replace("\n\\]", " \\]"),
            [text.replace("\n", " ") for text in seconds],
        )
    whole = [steps.join([first, second]) for second in seconds]
    end = steps.write(first, 1) + steps.separator
    if steps.has_markers:
        whole = [f"To solve this, we go step by step.\n\n{text}" for text in whole]
    responses = {"": whole, end: [steps.write(second, 2) for second in seconds]}
    config = MctsConfig(kind="mcts", steps=steps, candidates=candidates, expansions=4, rollouts=2, iterations=3,
                        max_step_tokens=400, max_rollout_tokens=400, keep_rollouts=True)  # fmt: skip
    engine = open_engine(ScriptedConfig(kind="scripted", responses=responses), tokenizer)
    search = Search(engine, config, seed=0)
    found = search.advance({"p": PROBLEM})
    while not found:
        found = search.advance({})
    tree = found["p"]
    paths = {tuple(tree.nodes[node].text for node in tree.path(end)) for end in tree.terminals()}
    assert paths == {(first, second) for second in seconds}
    assert {tree.nodes[end].verdict for end in tree.terminals()} == {"correct", "incorrect"}
    if candidates == "steps" and name in ("line", "blank_line"):
        stopped = [call for call in tree.calls if call.purpose == "step" and call.node == 0]
        texts = [engine.tokenizer.decode(call.ids, skip_special_tokens=True) for call in stopped]
        assert all(text.rstrip() == first for text in texts)


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_a_sample_that_ends_in_a_formula_leaves_no_part_of_it(finish):
    parser = StepParser(PROBLEM, get_verifier("math"), FORMATS["line"])
    text = "We start.\nWe set up the equation:\n\\[\nx + 1\n= 4."
    assert [step.text for step in parser.parse([], text, finish, 50).steps] == ["We start."]


def test_a_sample_without_the_stop_in_its_text_gets_it_back(tokenizer):
    """The full stop before the blank line is part of the stop string and of the step."""
    responses = {"": ["We start.\n\nSo it is $\\boxed{3}$."], "start.\n\n": ["So it is $\\boxed{3}$."]}
    config = MctsConfig(kind="mcts", steps=FORMATS["blank_line"], expansions=2, rollouts=1, iterations=2)
    search = Search(open_engine(ScriptedConfig(kind="scripted", responses=responses), tokenizer), config, seed=0)
    found = search.advance({"p": PROBLEM})
    while not found:
        found = search.advance({})
    assert [node.text for node in found["p"].nodes] == ["", "We start.", "So it is $\\boxed{3}$."]
