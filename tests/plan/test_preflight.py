"""What is checked before anything runs: here a Ray cluster that cannot be reached."""

from dataclasses import replace

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.ray_cluster import ADDRESS
from astro_factory.plan import make_plan
from astro_factory.plan.preflight import preflight, require_cluster, unreachable_cluster
from astro_factory.spec import compile_spec
from astro_factory.store import Store
from tests.plan.test_packages import SPEC


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The plan of a training stage on a cluster whose head is gone; every package counts as installed."""
    monkeypatch.setenv(ADDRESS, "127.0.0.1:9")
    monkeypatch.setattr("astro_factory.plan.packages.missing", lambda names: [])
    (tmp_path / "spec.yaml").write_text(SPEC)
    graph = compile_spec(tmp_path / "spec.yaml", sets=["stages.tuned.launch.backend=ray"])
    planned = make_plan(graph, Store(tmp_path / "store"))
    ready = planned.resolve(graph.nodes["tuned"], {"blank": "content", "drill": "content"})
    return replace(planned, nodes={**planned.nodes, "tuned": ready})


def test_a_build_needs_its_cluster_and_a_plan_without_network_does_not_look_for_it(plan):
    preflight(plan, online=False)
    for check in (lambda: preflight(plan, online=True), lambda: require_cluster(plan)):
        with pytest.raises(UserError) as caught:
            check()
        [found] = caught.value.diagnostics
        assert found.code == "E640" and found.place and found.place.line == 6


def test_check_warns(plan):
    assert [found.code for found in unreachable_cluster(plan.graph.nodes.values(), "W112")] == ["W112"]


def test_no_other_stage_looks_for_a_cluster(plan):
    others = [node for name, node in plan.graph.nodes.items() if name != "tuned"]
    assert unreachable_cluster(others, "W112") == []
