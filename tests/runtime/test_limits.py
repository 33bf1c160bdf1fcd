"""Budgets and heartbeats: how a stage ends that spends too much or is silent, and how it resumes."""

import json
import re

import pytest

from tests.runtime.bench import gone

BOTH = pytest.mark.parametrize("kind", ["light", "heavy"])


@pytest.mark.slow
@BOTH
def test_a_token_budget_stops_a_stage_which_resumes_when_it_is_raised(bench, kind, golden):
    bench.write(f"a: {{kind: {kind}, do: [spend], budget: {{tokens: 40}}}}\nb: {{kind: light, reads: [a]}}")
    done = bench.build()
    assert done.outcomes == {"a": "failed", "b": "skipped"}
    golden(re.sub(r"\d+ so far", "N so far", done.failures["a"]))
    first = bench.note("a.spent")
    assert 4 <= len(first) < 10
    again = bench.build()
    assert again.failures["a"].startswith("its budget of 40 tokens is used up"), "a budget is for all runs together"
    assert bench.note("a.spent") == first, "nothing was started for it"
    rest = bench.build("stages.a.budget.tokens=1000")
    assert rest.outcomes == {"a": "ran", "b": "ran"}
    assert bench.note("a.spent") == [str(number) for number in range(10)]
    assert rest.results["a"].provenance["tokens"] == 100 and rest.results["a"].provenance["calls"] == 10
    assert rest.results["a"].provenance["seconds"] >= 2


@pytest.mark.slow
def test_a_budget_of_time_lets_a_stage_save_and_is_no_part_of_the_key(bench):
    bench.write("a: {kind: heavy, do: [save_on_sigterm], budget: {wall_time_s: 8}}")
    done = bench.build()
    assert done.failures["a"].startswith("its budget of 8 s of wall time is used up (")
    assert "budget.wall_time_s" in done.failures["a"]
    planned = bench.plan("stages.a.budget.wall_time_s=600", "stages.a.heartbeat_s=5")
    assert planned.nodes["a"].key == bench.plan().nodes["a"].key
    assert bench.build("stages.a.budget.wall_time_s=600").outcomes == {"a": "ran"}


def test_spending_is_counted_across_killed_runs(bench):
    bench.write("a: {kind: heavy, do: [spend], budget: {tokens: 60}}")
    path = bench.store.staging(bench.plan().nodes["a"].key) / "spent.json"
    path.parent.mkdir(parents=True)
    for torn in ("{", "[]", "7"):
        path.write_text(torn)
        assert bench.build("stages.a.budget.wall_time_s=0.001").outcomes == {"a": "failed"}
    path.write_text(json.dumps({"tokens": 59, "calls": 1, "seconds": 2.0}))
    assert "(69 so far)" in bench.build().failures["a"]


@pytest.mark.slow
@BOTH
def test_a_missed_heartbeat_names_the_phase_and_shows_the_stacks_of_all_processes(bench, kind):
    bench.write(f"a: {{kind: {kind}, do: [fail_silently, hang], heartbeat_s: 4}}\nb: {{kind: light}}")
    done = bench.build()
    assert done.outcomes == {"a": "failed", "b": "ran"}
    lines = done.failures["a"].splitlines()
    assert lines[0] == "no heartbeat for 4 s (heartbeat_s), in phase 'rollout', at 3/8 steps"
    assert lines[1] == "    printed to the log", "the last lines of the log"
    pid = bench.note("a.hangs")[0]
    parts = "\n".join(lines[2:]).split("worker time:sleep (process ")
    assert parts[0].startswith(f"stage (process {pid}):\n") and "in hang" in parts[0]
    assert "astro_factory/core/workers.py" in parts[1] and "in _main" in parts[1]
    log = done.logs["a"].read_text()
    assert "Current thread" in log and "in watch" in log, "the log has all threads"
    assert gone(int(pid)) and gone(int(parts[1].partition(")")[0]))


@pytest.mark.slow
def test_every_event_is_a_heartbeat(bench):
    bench.write("a: {kind: light, do: [talk], heartbeat_s: 5}")
    assert bench.build().outcomes == {"a": "ran"}
