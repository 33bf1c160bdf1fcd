"""The wall time of plans on machines of known sizes."""

import pytest

from astro_factory.plan import wall_time as module
from astro_factory.plan.estimates import Estimate
from astro_factory.plan.wall_time import wall_time
from astro_factory.runtime.resources import Resources
from astro_factory.spec import compile_spec
from tests.plan.test_planner import Bench

SPEC = """\
factory: 1
name: wide
models: {blank: {kind: init}}
stages:
  first: {kind: practice, count: 10}
  other: {kind: practice, count: 11}
  third: {kind: practice, count: 12}
  tuned: {kind: sft, model: blank, data: first, learning_rate: 1e-3}
"""


def estimate(seconds: float | None) -> Estimate:
    return Estimate(None, None, seconds, "cores", None, None, "from 1 earlier run")


@pytest.mark.parametrize(
    ("cores", "times", "seconds", "chain"),
    [
        (1, {"first": 10, "other": 20, "third": 30, "tuned": 5}, 65, ("third",)),
        (2, {"first": 10, "other": 20, "third": 30, "tuned": 5}, 40, ("third",)),
        (2, {"first": 10, "other": 5, "third": 5, "tuned": 40}, 50, ("first", "tuned")),
        (4, {"first": 10, "other": 20, "third": 30, "tuned": 50}, 60, ("first", "tuned")),
        (4, {"first": 10, "other": None, "third": 3, "tuned": 50}, 60, ("first", "tuned")),
    ],
)
def test_stages_start_as_cores_become_free(tmp_path, monkeypatch, cores, times, seconds, chain):
    monkeypatch.setattr(module, "machine_resources", lambda jobs: Resources(cores, 0, 100))
    bench = Bench(tmp_path)
    bench.path.write_text(SPEC)
    plan = bench.plan()
    found = wall_time(plan, {"blank": estimate(0), **{name: estimate(time) for name, time in times.items()}})
    assert found and (found.seconds, found.chain) == (seconds, chain)
    whole = sum(time or 0 for time in times.values())
    assert found.chain_seconds <= found.seconds <= whole and found.seconds >= whole / cores
    assert found.unknown == list(times.values()).count(None)


def test_no_known_time_is_no_wall_time(tmp_path):
    bench = Bench(tmp_path)
    plan = bench.plan()
    assert wall_time(plan, {name: estimate(None) for name in plan.nodes}) is None


def test_a_target_limits_what_is_wanted(tmp_path):
    graph = compile_spec(Bench(tmp_path).path)
    assert graph.only(["base"]).wanted() == {"blank", "drill", "base"}
    assert graph.only(None) is graph
