import json
from pathlib import Path

import pytest

from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.problems import problem_schema
from astro_factory.core.step_format import StepFormat
from astro_factory.core.tables import read_table, write_table
from astro_factory.core.trees import Tree, step_format_of
from astro_factory.stages.search import Config, check, cores, extrapolate, run
from astro_factory.store.store import StoredItems
from tests.search.toy import letters, make_tokenizer, save_tokenizer
from tests.stages.test_practice import Recorded

POLICY = {
    "kind": "mcts",
    "expansions": 4,
    "rollouts": 1,
    "iterations": 4,
    "keep_rollouts": True,
    "prior": "share",
    "max_rollout_tokens": 24,
}
SCRIPTED = {"kind": "scripted", "responses": {"": ["a\nb\nanswer ab", "b\nanswer b", "c\nd\n", "d\n"]}}
LLAMA = {"kind": "transformers", "device": "cpu"}
PROBLEMS = [letters("ab", name) for name in "pqrstu"]


class Items(StoredItems):
    """Real items that count, and may end the run after some."""

    def __init__(self, root: Path, end_after: int | None = None):
        super().__init__(root)
        self.puts, self.end_after = 0, end_after

    def put(self, key, value):
        if self.puts == self.end_after:
            raise KeyboardInterrupt
        self.puts += 1
        super().put(key, value)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A random Llama that says a letter after a line feed and a line feed after a letter."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder, tokenizer = save_tokenizer(tmp_path_factory.mktemp("model")), make_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 1}
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes))
    feed, *letters = tokenizer("\na b c", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        llama.model.embed_tokens.weight[letters, 0] = llama.model.embed_tokens.weight[feed, 1] = 1
        llama.lm_head.weight[letters, 1] = llama.lm_head.weight[feed, 0] = 1.5
    llama.save_pretrained(folder)
    return folder


class Logged(Recorded):
    def __init__(self):
        super().__init__()
        self.logs: list[str] = []

    def log(self, text):
        self.logs.append(text)


def search(root: Path, model: Path, problems=PROBLEMS, items=None, engine=SCRIPTED, digest="m", **fields):
    """The output folder's files, and the events."""
    ctx, config = prepared(root, model, problems, items, engine, digest, **fields)
    run(ctx, config)
    return {path.name: path.read_bytes() for path in ctx.out.iterdir()}, ctx.events


def prepared(root: Path, model: Path, problems=PROBLEMS, items=None, engine=SCRIPTED, digest="m", mark="", **fields):
    """The context and the config of a search; `mark` is that of the problems' verifier."""
    root.mkdir(exist_ok=True)
    out, source, events = root / "out", root / "problems", Logged()
    for folder in (out, source):
        folder.mkdir()
    schema = problem_schema().with_metadata({"verifier": mark})
    write_table(source / "problems.parquet", [problem.as_row() for problem in problems], schema)
    inputs, digests = {"model": model, "problems": source}, {"model": digest, "problems": "d"}
    ctx = StageContext("trees", inputs, digests, out, root, items or Items(root / "items"), events)
    settings = {"kind": "search", "model": "model", "problems": "problems", "policy": POLICY, "engine": engine}
    return ctx, Config(**(settings | fields))


def trees(root: Path) -> list[Tree]:
    return [Tree.from_row(row) for row in read_table(root / "out/trees.parquet")]


def test_trees_stand_in_the_problems_order_with_their_statistics(tmp_path, model):
    files, events = search(tmp_path, model)
    found = trees(tmp_path)
    assert [tree.problem for tree in found] == PROBLEMS
    assert events.points[0] == (0, 6, "trees") and events.points[-1] == (6, 6, "trees")
    ends = [tree.nodes[end] for tree in found for end in tree.terminals()]
    right = [end for end in ends if end.verdict == "correct"]
    figures = json.loads(files["statistics.json"])
    assert figures["trees"] == 6 and figures["right_ends"] == len(right) > 0
    assert figures["tokens"] == sum(len(call.ids) for tree in found for call in tree.calls)
    assert figures["solved"] == sum(any(n.verdict == "correct" for n in tree.nodes) for tree in found)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "processes"), [(SCRIPTED, 1), (LLAMA, 2)], ids=["scripted", "llama"])
def test_processes_neighbours_and_interruptions_leave_no_mark(tmp_path, model, engine, processes):
    whole, _ = search(tmp_path / "a", model, engine=engine)
    assert sum(len(tree.nodes) for tree in trees(tmp_path / "a")) > 12
    assert search(tmp_path / "b", model, engine=engine, processes=processes, trees_in_flight=1)[0] == whole
    items = Items(tmp_path / "items", end_after=3)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "c", model, items=items, engine=engine, trees_in_flight=2)
    items = Items(tmp_path / "items")
    files, events = search(tmp_path / "d", model, items=items, engine=engine)
    assert files == whole
    assert items.puts == 3 and events.points[0] == (3, 6, "trees")


def test_more_problems_cost_their_own_search_only(tmp_path, model):
    items = Items(tmp_path / "items")
    search(tmp_path / "a", model, PROBLEMS[:4], items)
    assert search(tmp_path / "b", model, PROBLEMS, items)[0] == search(tmp_path / "c", model)[0]
    assert items.puts == 6


STEPS = POLICY | {"steps": {"format": "line"}}


def test_a_step_format_is_kept_with_the_trees(tmp_path, model):
    search(tmp_path / "a", model)
    search(tmp_path / "b", model, policy=STEPS)
    assert step_format_of(tmp_path / "a/out/trees.parquet") is None
    assert step_format_of(tmp_path / "b/out/trees.parquet") == StepFormat(format="line")
    assert [tree.nodes for tree in trees(tmp_path / "a")] == [tree.nodes for tree in trees(tmp_path / "b")]


def test_a_step_format_that_never_matches_is_an_error_and_keeps_finished_trees(tmp_path, model, golden):
    problems = [letters("ab", name) for name in "pqrstuabcd"]
    items = Items(tmp_path / "items")
    with pytest.raises(UserError) as caught:
        search(tmp_path, model, problems, items, policy=POLICY | {"steps": {"format": "heading"}}, trees_in_flight=2)
    assert caught.value.diagnostics[0].code == "E625"
    assert 8 <= items.puts < 10
    golden(str(caught.value))


def test_a_step_format_that_never_splits_is_logged(tmp_path, model, golden):
    policy = POLICY | {"steps": {"format": "blank_line"}, "candidates": "rollouts"}
    _, events = search(tmp_path, model, policy=policy)
    golden(next(line for line in events.logs if "step format" in line))


def test_a_model_without_steps_is_counted(tmp_path, model):
    engine = {"kind": "scripted", "responses": {"": ["a"], "spell p\n": ["## Step 1: a"]}}
    policy = POLICY | {"steps": {"format": "heading"}, "candidates": "rollouts"}
    files, events = search(tmp_path, model, engine=engine, policy=policy)
    assert json.loads(files["statistics.json"])["without_steps"] == 5
    assert any("in 5 of 6 trees the model wrote no step" in line for line in events.logs)


def test_stored_trees_foretell_the_rest_also_after_an_interruption(tmp_path, model):
    assert extrapolate(*prepared(tmp_path / "a", model)) is None
    items = Items(tmp_path / "items", end_after=3)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "b", model, items=items, trees_in_flight=2)
    about = extrapolate(*prepared(tmp_path / "c", model, items=items))
    assert (about.done, about.total, about.seconds) == (3, 6, None)
    search(tmp_path / "d", model, items=Items(tmp_path / "items"))
    tokens = [tree.tokens for tree in trees(tmp_path / "d")]
    assert about.tokens.low <= sum(tokens) / 2 <= about.tokens.high
    assert 0 < about.solved.low < about.solved.value <= about.solved.high <= 1


OTHERS = [
    {"seed": 1},
    {"policy": POLICY | {"c_puct": 2.0}},
    {"engine": SCRIPTED | {"max_model_len": 99}},
    {"digest": "other"},
    {"mark": "python:mine:Letter 1 a-digest-of-its-source"},
    {"problems": [letters("ba", name) for name in "pqrstu"]},
]


@pytest.mark.parametrize("changes", OTHERS, ids=[next(iter(changes)) for changes in OTHERS])
def test_a_tree_is_found_again_only_where_all_it_depends_on_is_equal(tmp_path, model, changes):
    items = Items(tmp_path / "items")
    search(tmp_path / "a", model, items=items)
    search(tmp_path / "b", model, items=items, trees_in_flight=3)
    assert items.puts == 6
    search(tmp_path / "c", model, items=items, **changes)
    assert items.puts == 12


def test_no_problems_are_named(tmp_path, model, golden):
    with pytest.raises(UserError) as caught:
        search(tmp_path, model, [])
    assert caught.value.diagnostics[0].code == "E616"
    golden(str(caught.value))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_mistake_in_any_process_reaches_the_user(tmp_path, model, processes):
    with pytest.raises(UserError, match=r"E605 .*no\.such:Engine"):
        search(tmp_path, model, engine={"kind": "python", "target": "no.such:Engine"}, processes=processes)


def test_cores_are_those_of_all_processes():
    fields = {"kind": "search", "model": "m", "problems": "p", "policy": POLICY, "processes": 2}
    assert cores(Config(**fields, engine=LLAMA | {"threads": 3})) == 6
    assert cores(Config(**fields, engine=SCRIPTED)) == 2


def test_a_policy_that_asks_a_verifier_without_values(tmp_path, model, golden):
    policy = {"kind": "dfs", "value": "verifier", "max_depth": 3}
    with pytest.raises(UserError) as caught:
        search(tmp_path, model, policy=policy)
    assert caught.value.diagnostics[0].code == "E623"
    golden(str(caught.value))


def test_a_policy_without_limits_is_a_warning(golden):
    fields = {"kind": "search", "model": "m", "problems": "p", "engine": SCRIPTED}
    own = {"kind": "python", "target": "tests.search.test_policies:my_policy"}
    [warning] = check(Config(**fields, policy=own), {})
    assert warning.code == "W104"
    golden(str(warning))
    assert not list(check(Config(**fields, policy=own | {"max_samples": 9}), {}))
