"""Prompts, best of n, and whole searches with a driver and an engine."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from astro_factory.core.errors import UserError
from astro_factory.core.step_format import StepFormat
from astro_factory.engines import open_engine
from astro_factory.engines.base import BatchStream
from astro_factory.engines.config import ScriptedConfig
from astro_factory.search.best_of_n import grow
from astro_factory.search.config import BestOfNConfig, MctsConfig, PolicyConfig, SamplingConfig
from astro_factory.search.driver import Search
from astro_factory.search.prompts import Prompts
from astro_factory.search.tree_builder import SampleRequest
from tests.search.toy import NAME, builder_for, letters, make_tokenizer, sample_of, save_tokenizer, shape

TOKENIZER = make_tokenizer()
MCTS = MctsConfig(kind="mcts", expansions=4, rollouts=2, iterations=6, max_step_tokens=8, max_rollout_tokens=24)
RESPONSES = {
    "": ["a\n", "b\n", "c\n"],
    "spell p\n": ["a\nb\nanswer ab", "a\nc\nanswer ac", "b\nb\nanswer bb", "c\nx\n"],
    "a\n": ["b\nanswer ab", "c\nanswer ac", "d\nanswer ad"],
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    config = ScriptedConfig(kind="scripted", responses=RESPONSES)
    return open_engine(config, save_tokenizer(tmp_path_factory.mktemp("model")))


def searched(engine, config, problems, in_flight=100, seed=0):
    search, waiting, trees = Search(engine, config, seed), list(problems), {}
    while waiting or search.in_progress:
        count = in_flight - search.in_progress
        begun, waiting = waiting[:count], waiting[count:]
        trees |= search.advance({problem.id: problem for problem in begun})
    return trees


def test_prompts_are_the_conversation_and_the_steps_with_their_delimiters():
    config = SamplingConfig(system_prompt="spell a", user_prompt="answer {question}")
    ids = Prompts(TOKENIZER, config).root(letters("ab"))
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "spell a\nanswer spell p\n"
    builder = builder_for(letters("ab"), SamplingConfig(), TOKENIZER)
    steps = builder.step_parser.parse([], "a\nb", "stop", 9).steps
    node = builder.add_child(builder.add_child(0, steps[0]), steps[1])
    [request] = next(builder.sample(SampleRequest(node, "step", 2, 5, ("\n",))))
    assert TOKENIZER.decode(request.prompt_ids, skip_special_tokens=True) == "spell p\na\nb\n"
    assert (len(request.seeds), request.max_tokens, request.stop) == (2, 5, ("\n",))


def test_seeds_continue_after_the_last_request_of_a_node():
    builder = builder_for(letters("ab"), SamplingConfig(), TOKENIZER)
    requests = [
        SampleRequest(0, "step", 2, 5, ()),
        SampleRequest(0, "step", 1, 5, ()),
        SampleRequest(0, "rollout", 1, 5, ()),
    ]
    seeds = [seed for request in requests for seed in next(builder.sample(request))[0].seeds]
    assert len(set(seeds)) == 4
    again = builder_for(letters("ab"), SamplingConfig(), TOKENIZER)
    assert next(again.sample(SampleRequest(0, "step", 3, 5, ())))[0].seeds == tuple(seeds[:3])
    other = builder_for(letters("ab", "q"), SamplingConfig(), TOKENIZER)
    assert not set(next(other.sample(SampleRequest(0, "step", 3, 5, ())))[0].seeds) & set(seeds)


def test_logprobs_of_lines_are_means_over_their_tokens():
    ids = TOKENIZER("a b\nc\n\nd", add_special_tokens=False)["input_ids"]
    assert len(ids) == 7
    prompts = Prompts(TOKENIZER, SamplingConfig())
    assert prompts.line_logprobs(ids, (-1, -2, -3, -4, -6, -8, -9)) == [-2, -5, -8, -9]
    assert prompts.line_logprobs(ids[:2], (-1, -2)) == [-1.5]


def test_best_of_n_by_hand():
    config = BestOfNConfig(kind="best_of_n", n=5)
    builder = builder_for(letters("ab"), config)
    run = grow(builder, config)
    assert [len(request.seeds) for request in next(run)] == [5]
    with pytest.raises(StopIteration):
        run.send([[sample_of("a", "b"), sample_of("a", "b"), sample_of("a", "c"), sample_of("b", "c"), sample_of("x")]])
    assert shape(builder.tree) == {
        "": (5, 0.4, 0.4, 5, 0.0),
        "a": (3, 2 / 3, 2 / 3, 3, 0.75),
        "ab": (2, 1.0, 1.0, 2, 2 / 3),
        "ac": (1, 0.0, 0.0, 1, 1 / 3),
        "b": (1, 0.0, 0.0, 1, 0.25),
        "bc": (1, 0.0, 0.0, 1, 1.0),
    }


PROBLEMS = [letters("ab", name) for name in "pqrstu"]


POLICIES = {
    "mcts": {},
    "mcts with kept rollouts": {"candidates": "rollouts", "keep_rollouts": True, "prior": "share"},
    "mcts with opinions": {"value": "self_evaluation", "self_evaluation": {"votes": 2}, "max_depth": 6},
    "beam": {"width": 2},
    "dfs": {"max_depth": 3},
    "bfs": {"max_depth": 3},
    "best_of_n": {"n": 5},
}


@pytest.mark.parametrize("changes", POLICIES.values(), ids=POLICIES)
def test_trees_depend_on_neither_other_trees_nor_the_order(engine, changes, request):
    kind = request.node.callspec.id.split()[0]
    shared = {"max_rollout_tokens": 24} | ({} if kind == "best_of_n" else {"expansions": 4, "max_step_tokens": 8})
    own = {"rollouts": 2, "iterations": 6} if kind == "mcts" else {}
    config = TypeAdapter(PolicyConfig).validate_python({"kind": kind} | shared | own | changes)
    together = searched(engine, config, PROBLEMS)
    assert sorted(together) == sorted("pqrstu")
    assert together == searched(engine, config, PROBLEMS[::-1], in_flight=2)
    assert together["r"] == searched(engine, config, [PROBLEMS[2]])["r"]
    assert together != searched(engine, config, PROBLEMS, seed=1)


class ShuffledStream(BatchStream):
    """Returns a random part of the finished requests, in random order, and the rest later."""

    def __init__(self, engine, draw: Random):
        super().__init__(engine)
        self._draw, self._ready = draw, []

    def take(self):
        self._ready += super().take()
        self._draw.shuffle(self._ready)
        count = self._draw.randint(1, max(1, len(self._ready)))
        taken, self._ready = self._ready[:count], self._ready[count:]
        return taken


@pytest.fixture(scope="module")
def one_at_a_time(engine):
    return searched(engine, MCTS, PROBLEMS, in_flight=1)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(PROBLEMS), in_flight=st.integers(1, 8), draw=st.integers(0, 2**32).map(Random))
def test_trees_do_not_depend_on_the_order_of_responses(engine, one_at_a_time, order, in_flight, draw):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine, "stream", lambda: ShuffledStream(engine, draw))
        assert searched(engine, MCTS, order, in_flight) == one_at_a_time


def test_every_sample_is_recorded(engine):
    tree = searched(engine, MCTS, PROBLEMS[:1])["p"]
    assert {call.purpose for call in tree.calls} == {"step", "rollout"}
    assert len({call.seed for call in tree.calls}) == len(tree.calls)
    assert tree.tokens == sum(len(call.ids) for call in tree.calls)
    assert all(len(call.ids) == len(call.logprobs) for call in tree.calls)
    assert len({call.prompt for call in tree.calls}) == len({call.node for call in tree.calls})
    assert tree.nodes[0].visits == tree.iterations


def my_policy(builder, config):
    [samples] = yield from builder.sample(SampleRequest(0, "step", config.options["count"], 4, ("\n",)))
    for sample in samples:
        builder.add_path(0, builder.parse(0, sample), [])


def test_a_python_policy(engine):
    fields = {"kind": "python", "target": "tests.search.test_policies:my_policy", "options": {"count": 9}}
    tree = searched(engine, TypeAdapter(PolicyConfig).validate_python(fields), PROBLEMS[:1])["p"]
    assert sorted(node.text for node in tree.nodes[1:]) == ["a", "b", "c"]


def test_a_python_policy_that_does_not_exist(engine, golden):
    config = TypeAdapter(PolicyConfig).validate_python({"kind": "python", "target": "tests.search.toy:nothing"})
    with pytest.raises(UserError) as caught:
        Search(engine, config, 0)
    assert caught.value.diagnostics[0].code == "E611"
    golden(str(caught.value))


def test_countdown_with_a_real_model(tmp_path):
    """A random model samples no valid step: the tree is just a root, and nothing breaks."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from astro_factory.core.problems import Problem
    from astro_factory.engines.config import TransformersConfig

    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    info = {"numbers": [4, 10, 3], "target": 17}
    problem = Problem("c", "numbers 4 10 3 target 17", "", "countdown", info)
    with open_engine(TransformersConfig(kind="transformers", device="cpu"), tmp_path) as engine:
        tree = searched(engine, MCTS, [problem])["c"]
    assert tree.nodes[0].facts == {"left": "4 10 3", "target": "17"}
    assert tree.tokens > 0 and NAME not in tree.problem.verifier


def test_logprobs_of_the_steps_of_a_format():
    prompts = Prompts(TOKENIZER, SamplingConfig(steps=StepFormat(format="blank_line")))
    ids = TOKENIZER("a b\n\nc\n\nd", add_special_tokens=False)["input_ids"]
    text = TOKENIZER.decode(ids)
    means = prompts.line_logprobs(ids, [-1.0] * len(ids), text)
    assert means == [-1.0] * 3
    last = prompts.line_logprobs(ids, [*[-1.0] * (len(ids) - 1), -9.0], text)
    assert last[:2] == [-1.0, -1.0] and last[2] < -1
