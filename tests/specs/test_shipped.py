"""Every shipped spec and profile compiles and plans, without a network, and says what its comments claim."""

import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest

from astro_factory.core.config import StageConfig
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.shipped import shipped_folder
from astro_factory.plan.contamination import _drawn, contamination
from astro_factory.spec import compile_spec
from astro_factory.spec.compose import load
from astro_factory.verifiers.math.extraction import final_answer
from tests.cli.test_commands import run  # noqa: F401  (a fixture)

SPECS = shipped_folder("specs")
SHIPPED = sorted(path for path in SPECS.rglob("*.yaml") if "common" not in path.relative_to(SPECS).parts)
LLAMA, PAPER = SPECS / "llama3_8b.yaml", SPECS / "llama3_70b_paper.yaml"
LLAMAS = [LLAMA, PAPER]


def profiles(path: Path) -> list[str | None]:
    return [None, *load(path).data.get("profiles", {})]


def name(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value or "plain")


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (SPECS / "common" / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("path", "profile"), [(path, p) for path in SHIPPED for p in profiles(path)], ids=name)
def test_spec_compiles_without_warnings(path, profile):
    graph = compile_spec(path, profile=profile)
    assert graph.warnings == ()
    assert [warning.cause for warning in contamination(graph) if warning.code == "W109"] == []


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_plan_needs_no_network(path, run):  # noqa: F811
    """A connection to another host fails in every test."""
    found = run("plan", str(path), "--offline", "--json").json
    assert sum(found["counts"].values()) == len(found["stages"])


def test_plan_says_what_only_the_network_can_resolve(tmp_path):
    command = [sys.executable, "-m", "astro_factory", "plan", str(LLAMA), "--offline", "--json"]
    result = subprocess.run([*command, "--store", str(tmp_path)], cwd=SPECS.parent, capture_output=True, text=True)
    reasons = {stage["name"]: stage["reason"] for stage in json.loads(result.stdout)["stages"]}
    unlocked = "revision 'main' is not locked; only the network can resolve it"
    assert {name for name, reason in reasons.items() if reason == unlocked} == {
        "base", "math_train", "competitions", "math500", "amc23", "aime24", "aime25"
    }  # fmt: skip
    assert reasons["trees"] == "waits for base, train"


def made(nodes: Mapping[str, GraphNode], name: str) -> list[str]:
    """What a node reads that is not given from outside."""
    return [reference for reference in nodes[name].references if nodes[reference].section != "problems"]


NAMES = [
    ("repo=me/astro", "E721 'me/astro' is made with Llama 3.1, whose licence requires its name to begin so"),
    ("licence=mit", "E722 'my-org/Llama-3.1-8B-ASTRO' is made with Llama 3.1 and cannot have the licence mit"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "text"), NAMES, ids=["name", "licence"])
def test_wrong_name_or_licence_of_a_llama_is_refused_by_the_plan(change, text, tmp_path):
    arguments = ["plan", str(LLAMA), "--offline", "--store", str(tmp_path), "--set", f"publish.model.{change}"]
    command = [sys.executable, "-m", "astro_factory", *arguments]
    result = subprocess.run(command, cwd=SPECS.parent, capture_output=True, text=True)
    assert result.returncode == 2 and text in result.stderr


def smoke(path: Path) -> Graph:
    return compile_spec(path, profile="smoke")


@pytest.mark.parametrize("path", [path for path in SHIPPED if "smoke" in profiles(path)], ids=name)
def test_smoke_profile_needs_neither_network_nor_gpu(path):
    graph = smoke(path)
    for node in map(graph.nodes.get, graph.wanted()):
        assert node.kind != "hub", node.name
        assert node.section != "publish" or node.config.repo.startswith("file:")
        if node.kind in ("search", "evaluate"):
            assert node.config.engine.kind == "transformers"
        if node.kind in ("sft", "grpo"):
            assert node.config.launch.deepspeed is None and node.config.launch.processes <= 2
        if node.kind == "grpo":
            assert node.config.rollouts.kind == "engine"


@pytest.mark.parametrize("path", [path for path in SHIPPED if "smoke" in profiles(path)], ids=name)
def test_smoke_profile_keeps_the_graph(path):
    """It may put a warm-up under the base and ask other problems; every stage is there and reads what it read."""
    full, small = compile_spec(path).nodes, smoke(path).nodes
    assert set(full) <= set(small)
    for name, node in full.items():
        if node.section in ("stages", "publish"):
            assert small[name].kind == node.kind
            assert made(small, name) == made(full, name)


@pytest.mark.parametrize("path", [path for path in SHIPPED if "astro_sft" in compile_spec(path).nodes], ids=name)
@pytest.mark.parametrize(
    ("arm", "control", "apart"),
    [
        ("astro_sft", "direct_sft", {"data"}),
        ("astro_rl", "direct_rl", {"model"}),
        ("direct_sft", "matched_sft", set()),
        ("direct_rl", "matched_rl", {"model"}),
    ],
)
def test_control_differs_from_its_arm_in_nothing_else(path, arm, control, apart):
    nodes = compile_spec(path).nodes
    if control not in nodes:
        assert control.startswith("matched") or arm not in nodes, "an arm without its control"
        return
    left, right = (plain(nodes[name].config) for name in (arm, control))
    assert {key for key in left if left[key] != right[key]} == apart
    if control.startswith("matched"):
        assert nodes[control].config.match_tokens and not nodes[arm].config.match_tokens


def plain(config: StageConfig) -> dict:
    """A configuration without where it runs, what is watched, and what makes the tokens of both equal."""
    return config.model_dump(exclude={"launch", "template", "log_every", "save_every", "match_tokens"})


@pytest.mark.parametrize("path", LLAMAS, ids=name)
def test_llama_specs_have_the_numbers_of_the_paper(path):
    nodes = {name: node.config for name, node in compile_spec(path).nodes.items()}
    policy, traces, sft, rl = (
        nodes["trees"].policy,
        nodes.get("drafts", nodes["traces"]),
        nodes["astro_sft"],
        nodes["astro_rl"],
    )
    assert (policy.expansions, policy.rollouts, policy.iterations, policy.max_depth) == (8, 16, 32, 50)
    assert (traces.per_problem.direct, traces.per_problem.search, traces.wrong_branches) == (1, 3, (0, 2))
    assert (nodes["votes"].votes, traces.self_evaluation.rule) == (8, "unanimous")
    assert (sft.epochs, sft.learning_rate, sft.schedule, sft.max_length, sft.loss) == (1, 3e-6, "cosine", 8192, "all")
    assert (rl.group_size, rl.reward.correct, rl.reward.incorrect, nodes["rl_train"].limit) == (4, 1, -1, 8700)
    assert (nodes["report"].suite.samples, nodes["report"].suite.metrics) == (16, ["pass@1", "maj@8"])
    assert nodes["report"].suite.problems == ["math500", "amc23", "aime24"]


def test_llama3_70b_paper_has_all_numbers_of_the_paper():
    nodes = {name: node.config for name, node in compile_spec(PAPER).nodes.items()}
    assert nodes["base"].repo == "meta-llama/Llama-3.1-70B-Instruct"
    assert nodes["trees"].policy.stop is None  # every tree has all its iterations
    assert (nodes["paper_pool"].limit, nodes["drafts"].max_traces) == (20_700, 36_100)
    assert (nodes["traces"].kind, nodes["traces"].what, nodes["traces"].model) == ("rewrite", "both", "base")


@pytest.mark.parametrize("path", LLAMAS, ids=name)
def test_llama_specs_train_on_no_problem_of_a_benchmark(path):
    nodes = compile_spec(path).nodes
    for problems in (nodes["trees"].config.problems, nodes["rl_train"].config.problems):
        assert nodes[problems].kind == "decontaminate"
        assert set(nodes[problems].config.against) == {"math500", "amc23", "aime24", "aime25"}


def test_smoke_problems_are_none_of_the_lessons_and_all_answers_are_right():
    problems, lessons = rows("smoke_problems.jsonl"), rows("smoke_lessons.jsonl")
    turns = [[message["content"] for message in lesson["messages"][-2:]] for lesson in lessons]
    votes = [asked for asked, _ in turns if asked.startswith("Problem: ")]
    taught = {asked.split("\n")[0]: answer for asked, answer in turns if asked not in votes}
    assert len(taught) + len(votes) == len(lessons)
    for problem in problems:
        assert problem["problem"] not in taught and not any(problem["problem"] in vote for vote in votes)
        assert final_answer(problem["solution"]) == problem["answer"] == sum_of(problem["problem"])
    for question, answer in taught.items():
        assert final_answer(answer) == sum_of(question)


def sum_of(question: str) -> str:
    left, sign, right = question.removeprefix("What is ").removesuffix("?").split()
    return str(int(left) + int(sign + right))


LORA = [SPECS / f"llama32_{size}.yaml" for size in ("1b", "3b")]
PRETRAINED = (LLAMA, *LORA, SPECS / "smollm2_135m.yaml")
SWEPT = [(path, name) for path in SHIPPED if path not in PRETRAINED for name in load(path).data.get("sweeps", {})]


def test_seeds_of_llama3_8b_share_the_search():
    graph = compile_spec(LLAMA, sweep="seeds")
    assert len(graph.variants) == 3
    kinds = [node.kind for node in graph.nodes.values()]
    assert [kinds.count(kind) for kind in ("search", "judge", "pass_rate", "linearize")] == [1, 1, 1, 6]
    assert len(compile_spec(LLAMA, sweep="seeds", profile="smoke").variants) == 1


@pytest.mark.parametrize("path", LORA, ids=name)
def test_adapters_of_small_llamas_are_trained_further_and_share_the_search(path):
    nodes = {name: node.config for name, node in compile_spec(path).nodes.items()}
    assert nodes["astro_rl"].model == "astro_sft" and nodes["astro_rl"].save == nodes["astro_sft"].save == "adapter"
    assert nodes["astro_rl"].adapter == nodes["astro_sft"].adapter and nodes["astro_sft"].adapter.rank == 32
    graph = compile_spec(path, sweep="seeds")
    kinds = [node.kind for node in graph.nodes.values()]
    assert [kinds.count(kind) for kind in ("search", "judge", "pass_rate", "linearize")] == [1, 1, 1, 6]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "size"), list(zip(LORA, ("1xL4-24GB", "1xH100-80GB"), strict=True)), ids=name)
def test_small_llamas_fit_one_gpu_and_three_hours_of_an_h100(path, size, tmp_path):
    command = [sys.executable, "-m", "astro_factory", "plan", str(path), "--offline", "--json", "--machine"]
    plans: dict[str, list[dict]] = {}
    for machine in {size, "1xH100-80GB"}:
        arguments = [*command, machine, "--store", str(tmp_path)]
        result = subprocess.run(arguments, cwd=SPECS.parent, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        plans[machine] = json.loads(result.stdout)["stages"]
    assert all(stage["fits"] is not False for stage in plans[size])
    assert {stage["name"] for stage in plans[size] if stage["fits"]} >= {"trees", "astro_sft", "astro_rl", "report"}
    hours = {stage["name"]: stage["hours"] or 0.0 for stage in plans["1xH100-80GB"]}
    hours["report"] *= (264 + 250) / 1000  # it is stated for 1,000 problems
    assert 0 < sum(hours.values()) <= 3


@pytest.mark.parametrize(("path", "sweep"), SWEPT, ids=name)
def test_sweep_shares_its_base_and_searches_once_a_seed(path, sweep):
    """The base comes from a shipped export unless the sweep varies it; trees are grown anew only where the search or
    its model is varied."""
    graph = compile_spec(path, sweep=sweep)
    nodes = list(graph.nodes.values())
    whole = "prose_tiny.yaml" if path.stem.startswith("prose") else "quickstart.yaml"
    base = compile_spec(SPECS / whole).nodes["base"]
    bases = [node for node in nodes if node.section == "stages" and node.name.partition("[")[0].endswith("base")]
    if sweep == "size":
        assert sorted(node.config.model for node in bases) == ["blank", "large", "small"]
    else:
        assert [node.config for node in bases] == [base.config]
    searched = {"best_of_n": 2, "search_cost": 3, "size": 3}.get(sweep, 1)
    assert sum(node.kind == "search" for node in nodes) == 3 * searched
    assert not any(node.kind in ("grpo", "publish") for node in map(graph.nodes.get, graph.wanted()))


CLEAN = [
    *(SPECS / "ablations" / f"{name}.yaml" for name in ("clean_base", "best_recipe")),
    *SPECS.glob("domains/*.yaml"),
]


@pytest.mark.parametrize("path", CLEAN, ids=name)
def test_a_clean_base_shares_no_puzzle_with_what_comes_after_it(path):
    """Practice, search, reinforcement learning and evaluation of every arm whose base practises some buckets alone."""
    graph, checked = compile_spec(path), 0
    for report in [node for node in graph.nodes.values() if node.kind == "evaluate"]:
        for arm in report.config.arms:
            upstream = [graph.nodes[one] for one in graph.closure({arm})]
            if any(node.kind == "practice" and node.config.buckets for node in upstream):
                nodes = {node.name: node for node in upstream}
                nodes |= {problems: graph.nodes[problems] for problems in report.config.suite.problems}
                drawn = {one: found for one, node in nodes.items() if (found := _drawn(node))}
                shared = [(a, b) for (a, ours), (b, theirs) in combinations(drawn.items(), 2) if ours & theirs]
                assert shared == [], (report.name, arm)
                checked += len(drawn) > 2
    assert checked
