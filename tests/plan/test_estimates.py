"""Estimates: from the config, from earlier runs, or unknown."""

from dataclasses import asdict, replace

import pytest

from astro_factory.plan.estimates import Estimate, estimates, totals
from astro_factory.runtime.costs import Cost, append_cost, machine_kind, read_costs
from astro_factory.runtime.node_shapes import node_shapes, parameters
from astro_factory.runtime.provenance import environment
from astro_factory.search.config import BeamConfig, BestOfNConfig, DfsConfig, MctsConfig, PythonPolicyConfig
from astro_factory.spec import compile_spec
from tests.plan.test_planner import Bench

SPEC = """\
factory: 1
name: costly
models: {blank: {kind: init}, far: {kind: hub, repo: org/model, revision: COMMIT}}
problems:
  train: {kind: countdown, count: 50}
  theirs: {kind: hub, repo: org/problems, revision: COMMIT}
search_policies:
  mcts: {kind: mcts, iterations: 2, expansions: 3, rollouts: 4, max_step_tokens: 10, max_rollout_tokens: 100}
stages:
  drill: {kind: practice, count: 10}
  base: {kind: sft, model: blank, data: drill, learning_rate: 1e-3, epochs: 3}
  fixed: {kind: sft, model: blank, data: drill, learning_rate: 1e-3, max_steps: 7, batch_tokens: 100}
  trees: {kind: search, policy: mcts, model: base, engine: {kind: transformers}, problems: train}
  their_trees: {kind: search, policy: mcts, model: far, engine: {kind: transformers}, problems: theirs}
  traces: {kind: linearize, trees: trees, template: reflection/terse.jinja, per_problem: {direct: 1, search: 2}}
  direct: {kind: linearize, trees: trees, template: reflection/direct.jinja, match_count: traces}
  tuned: {kind: sft, model: base, data: traces, learning_rate: 1e-3}
  votes: {kind: judge, trees: trees, prompt: judge/solution.jinja, model: base, engine: {kind: transformers}}
  prose:
    kind: rewrite
    traces: traces
    trees: trees
    template: reflection/terse.jinja
    prompt: rewrite/prose.jinja
    model: base
    engine: {kind: transformers}
  rl:
    kind: grpo
    model: tuned
    problems: train
    learning_rate: 1e-5
    steps: 2
    prompts_per_step: 3
    group_size: 4
    max_new_tokens: 16
  report:
    kind: evaluate
    suite: {problems: [train], samples: 4, max_tokens: 20}
    engine: {kind: transformers}
    arms: [base, rl]
    equal_tokens: [[rl, base]]
    samples_for: {base: 6}
""".replace("COMMIT", "c" * 40)
RUN = Cost("other", "s", "samples", 1000.0, "cores", machine_kind(environment()), 50.0, 800, 40_000, 100, 5000)


@pytest.fixture
def bench(tmp_path) -> Bench:
    bench = Bench(tmp_path)
    bench.path.write_text(SPEC)
    return bench


def estimated(bench: Bench) -> dict[str, Estimate]:
    return estimates(bench.plan(), bench.store)


def keep(bench: Bench, kind: str, *runs: Cost) -> None:
    """Earlier runs, as builds leave them."""
    import json

    path = bench.store.root / "costs" / f"{kind}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(asdict(run)) + "\n" for run in runs))


def test_before_any_run_there_are_only_limits(bench):
    found = estimated(bench)
    calls = 50 * (2 * 3 + 2 * 3 * 4)
    tokens = 50 * (2 * 3 * 10 + 2 * 3 * 4 * 100)
    limits = "at most, by its config"
    assert found["trees"] == Estimate(calls, tokens, None, "cores", None, 50, limits, calls, tokens)
    assert found["report"] == Estimate(500, 10_000, None, "cores", None, None, limits, 500, 10_000)
    assert found["rl"] == Estimate(24, 24 * 16, None, "cores", None, None, limits, 24, 24 * 16)
    assert found["their_trees"] == Estimate(None, None, None, "cores", None, None, ""), (
        "the number of problems is unknown"
    )
    assert (found["drill"].rows, found["traces"].rows, found["direct"].rows) == (10, 150, 150)
    assert found["base"] == Estimate(None, None, None, "cores", None, None, "")
    assert totals(found)["time_unknown"] == len(found) == 16 and totals(found)["at_most"]


def test_runs_of_the_kind_give_the_rates(bench):
    keep(bench, "stages.search", RUN)
    found = estimated(bench)["trees"]
    assert found.basis == "from 1 earlier run of search"
    units = 50 * 30 / 1000
    assert (found.calls, found.tokens, found.seconds) == (800 * units, 40_000 * units, 50 * units)
    assert (found.rows, found.bytes) == (100 * units, 5000 * units)


def test_runs_of_the_stage_itself_count_before_others(bench):
    own = replace(RUN, spec="costly", stage="trees", seconds=500.0)
    keep(bench, "stages.search", *[RUN] * 5, own, *[RUN] * 5, replace(own, seconds=700.0))
    found = estimated(bench)["trees"]
    assert found.basis == "from 2 earlier runs" and found.seconds == pytest.approx(600 * 1.5)


def test_the_last_three_count(bench):
    keep(bench, "stages.search", *(replace(RUN, seconds=float(s)) for s in (1, 1, 1, 10, 20, 30)))
    found = estimated(bench)["trees"]
    assert found.basis == "from 3 earlier runs of search" and found.seconds == pytest.approx(20 * 1.5)


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({"machine": "x86_64", "cpu": "AMD EPYC 7763", "gpus": []}, "x86_64, AMD EPYC 7763"),
        ({"machine": "x86_64", "cpu": "AMD EPYC 7763", "gpus": ["H100", "H100"]}, "x86_64, H100"),
        ({"machine": "arm64", "cpu": ""}, "arm64"),
        ({"machine": "x86_64"}, "x86_64"),  # of an older release
    ],
)
def test_a_machine_is_known_by_its_gpus_or_its_cpu(environment, kind):
    assert machine_kind(environment) == kind


def test_time_is_that_of_this_kind_of_machine(bench):
    keep(bench, "stages.search", replace(RUN, machine="abacus"))
    found = estimated(bench)["trees"]
    assert found.seconds is None and found.calls == 800 * 1.5


def test_runs_that_count_otherwise_say_nothing(bench):
    """Passes over data are no steps of a fixed size."""
    keep(bench, "stages.sft", replace(RUN, unit="trained tokens", units=1400.0, calls=0, tokens=0, rows=None, bytes=77))
    found = estimated(bench)
    assert found["base"].seconds is None and found["base"].basis == ""
    assert (found["fixed"].seconds, found["fixed"].calls, found["fixed"].bytes) == (25.0, None, 77)


def test_the_size_of_a_model_does_not_grow_with_the_work(bench):
    keep(bench, "stages.sft", replace(RUN, unit="sequences", units=1.0, calls=0, tokens=0, rows=None, bytes=77))
    assert estimated(bench)["base"].bytes == 77 and estimated(bench)["base"].seconds == 30 * 50


@pytest.mark.parametrize(
    ("kind", "stage", "unit", "rows", "growth"),
    [
        ("stages.sft", "base", "sequences", None, 4),  # the output is a model
        ("stages.search", "trees", "samples", 100, 1),
        ("stages.evaluate", "report", "samples", None, 1),
    ],
)
def test_time_grows_with_the_model_and_bytes_if_it_is_the_output(bench, kind, stage, unit, rows, growth):
    """Of a run that did not keep the size of its model, as those of an older release, the time stays."""
    own = graph_parameters(bench)
    run = replace(RUN, unit=unit, calls=0, tokens=0, rows=rows)
    keep(bench, kind, run)
    before = estimated(bench)[stage]
    keep(bench, kind, replace(run, parameters=own))
    assert estimated(bench)[stage] == before
    keep(bench, kind, replace(run, parameters=own // 4))
    after = estimated(bench)[stage]
    assert after.seconds == pytest.approx(4 * before.seconds, rel=1e-3)
    assert after.bytes == pytest.approx(growth * before.bytes, rel=1e-3)


def test_a_run_is_kept_with_the_size_of_its_model(bench):
    graph, results = compile_spec(bench.path), bench.run(bench.plan())
    took = {**environment(), "seconds": 3.0}
    kept = {}
    for name in ("blank", "base", "report", "drill"):
        node = graph.nodes[name]
        append_cost(bench.store, graph, node, {"drill": 10, "train": 50}, replace(results[name], provenance=took))
        kept[name] = read_costs(bench.store, node)[-1].parameters
    own = graph_parameters(bench)
    assert kept == {"blank": own, "base": own, "report": own, "drill": None} and own > 100_000


def graph_parameters(bench: Bench) -> int:
    """The size of the model that `models.init` makes by default."""
    graph = compile_spec(bench.path)
    size = parameters(graph.nodes["blank"], node_shapes(graph.nodes))
    assert size
    return size


def test_rows_that_are_told_reach_what_follows(bench):
    """Few of the trees gave traces, the last time; so there is less to train on."""
    keep(bench, "stages.linearize", replace(RUN, unit="trees", units=100.0, rows=20, calls=0, tokens=0))
    keep(bench, "stages.sft", replace(RUN, unit="sequences", units=10.0, calls=0, tokens=0, rows=None))
    found = estimated(bench)
    assert found["traces"].rows == 10 and found["tuned"].seconds == 10 / 10 * 50


def test_rows_of_what_is_there_are_known(bench):
    results = bench.run(bench.plan())
    bench.store.put_result(replace(results["theirs"], provenance={"rows": 8}))
    plan = bench.plan("stages.their_trees.seed=1")
    assert set(estimates(plan, bench.store)) == {"their_trees"}
    assert estimates(plan, bench.store)["their_trees"].calls == 8 * 30


def test_rows_of_earlier_runs_are_no_limit(bench):
    """Another file may have had fewer problems; a `limit` holds for every file."""
    keep(bench, "problems.hub", replace(RUN, unit="runs", units=1.0, rows=8, calls=0, tokens=0))
    keep(bench, "stages.search", RUN)
    trees = estimated(bench)["their_trees"]
    assert (trees.calls, trees.most_calls) == (800 * 8 * 30 / 1000, None)
    bench.path.write_text(SPEC.replace("org/problems,", "org/problems, limit: 5,"))
    trees = estimated(bench)["their_trees"]
    assert (trees.calls, trees.most_calls) == (800 * 5 * 30 / 1000, 5 * 30)


def test_calls_per_tree_or_trace_are_estimated_from_earlier_runs(bench):
    """No config gives the number of correct terminals per tree or of lines per trace; a rewritten trace is one row."""
    before = estimated(bench)
    assert (before["votes"].calls, before["votes"].rows, before["prose"].rows) == (None, None, 150)
    keep(bench, "stages.judge", replace(RUN, unit="trees", units=100.0))
    keep(bench, "stages.rewrite", replace(RUN, unit="traces", units=100.0))
    votes, prose = estimated(bench)["votes"], estimated(bench)["prose"]
    assert (votes.calls, votes.tokens, votes.seconds, votes.rows) == (400, 20_000, 25, 50)
    assert (prose.calls, prose.tokens, prose.seconds, prose.rows) == (1200, 60_000, 75, 150)


def test_a_plan_of_hits_has_no_estimates(bench):
    bench.run(bench.plan())
    assert estimated(bench) == {}


def test_torn_lines_are_left_out(bench):
    keep(bench, "stages.search", RUN)
    path = bench.store.root / "costs/stages.search.jsonl"
    path.write_text('{"spec": "x"}\n[]\n' + path.read_text() + '{"spec": "half')
    assert read_costs(bench.store, compile_spec(bench.path).nodes["trees"]) == [RUN]


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({"iterations": 2, "expansions": 3, "rollouts": 4, "max_step_tokens": 5, "max_rollout_tokens": 7}, (30, 198)),
        ({"iterations": 2, "expansions": 3, "rollouts": 1, "candidates": "rollouts", "max_rollout_tokens": 7}, (6, 42)),
        ({"iterations": 1, "expansions": 4, "rollouts": 2, "rollout_children": 1, "max_step_tokens": 1}, (6, 2052)),
        ({"iterations": 9, "expansions": 2, "value": "terminals", "max_step_tokens": 1, "max_depth": 9}, (18, 18)),
        (
            {"iterations": 9, "expansions": 2, "max_step_tokens": 1, "max_depth": 9}
            | {"value": "self_evaluation", "self_evaluation": {"votes": 3, "max_tokens": 2}},
            (18 + 54, 18 + 108),
        ),
    ],
)
def test_limits_of_a_tree(config, limits):
    assert MctsConfig(kind="mcts", **config).limits() == limits


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        (BestOfNConfig(kind="best_of_n", n=3, max_rollout_tokens=5), (3, 15)),
        (BeamConfig(kind="beam", width=2, max_depth=3, expansions=4, max_step_tokens=5), (20, 100)),
        (DfsConfig(kind="dfs", max_expansions=9, max_depth=9, expansions=4, max_step_tokens=5), (36, 180)),
        (PythonPolicyConfig(kind="python", target="a:b"), None),
    ],
)
def test_limits_of_other_policies(config, limits):
    assert config.limits() == limits
