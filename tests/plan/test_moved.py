"""Stages that an upgrade moves."""

from dataclasses import replace

from astro_factory.plan import make_plan
from astro_factory.plan.estimates import Estimate
from astro_factory.plan.moved import moved_by_version
from astro_factory.plan.planner import last_results
from astro_factory.spec import compile_spec
from tests.plan.test_planner import Bench


def test_stages_of_which_only_the_version_changed(tmp_path):
    bench = Bench(tmp_path)
    for name, result in bench.run(bench.plan()).items():
        made = {"versions": {"astro-factory": "0.1"}} if name == "drill" else {}
        bench.store.put_result(replace(result, provenance=made))
    graph = compile_spec(bench.path)
    old = graph.nodes["drill"].version
    newer = replace(graph, nodes=graph.nodes | {"drill": replace(graph.nodes["drill"], version=99)})
    plan = make_plan(newer, bench.store)
    expected = {"drill": Estimate(None, None, 12.0, "cores", None, None, "from 1 earlier run")}
    (found,) = moved_by_version(plan, expected, last_results(newer, bench.store))
    assert (found.kind, found.old, found.new, found.stages) == ("practice", old, 99, ("drill",))
    assert (found.seconds, found.time_unknown, found.made_with) == ({"cores": 12.0}, 0, "0.1")
    assert moved_by_version(plan, {}, {})[0].time_unknown == 1


def test_a_stage_that_changed_otherwise_did_not_move_by_its_version(tmp_path):
    bench = Bench(tmp_path)
    bench.run(bench.plan())
    graph = compile_spec(bench.path, sets=["stages.drill.count=11"])
    newer = replace(graph, nodes=graph.nodes | {"drill": replace(graph.nodes["drill"], version=99)})
    assert moved_by_version(make_plan(newer, bench.store), {}, {}) == []
