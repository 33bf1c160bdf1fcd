"""Light stages share processes, and none of them can break the build or another stage."""

import os
import signal
import time

import pytest

from astro_factory.runtime import BuildOptions, build
from astro_factory.stages import KINDS
from tests.runtime.bench import TEST_KINDS, Bench, gone


def test_light_stages_share_as_many_processes_as_run_in_parallel(bench):
    bench.write("\n".join(f"s{number}: {{kind: light, do: [count], text: t{number}}}" for number in range(40)))
    assert bench.build(jobs=2).ok
    pids = {bench.note(f"s{number}.runs")[0] for number in range(40)}
    assert len(pids) <= 2 and str(os.getpid()) not in pids
    assert all(gone(int(pid)) for pid in pids)


def test_a_large_builder_shares_processes_too(bench):
    """The system hands the peak memory of a process on to those that it starts."""
    ballast = bytearray(b"x") * (1200 << 20)
    bench.write("\n".join(f"s{number}: {{kind: light, do: [count], text: t{number}}}" for number in range(8)))
    assert bench.build(jobs=1).ok and ballast[-1]
    assert len({bench.note(f"s{number}.runs")[0] for number in range(8)}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("action", ["fail", "leave", "exit", "die", "crash", "mistake", "swell"])
def test_after_any_light_stage_the_next_one_has_a_working_process(bench, action):
    lines = [f"s{number}: {{kind: light, do: [count], text: t{number}}}" for number in range(4)]
    bench.write("\n".join([*lines[:2], f"bad: {{kind: light, do: [count, {action}]}}", *lines[2:]]))
    done = bench.build(jobs=1)
    assert {name for name, outcome in done.outcomes.items() if outcome == "ran"} >= {"s0", "s1", "s2", "s3"}
    order = [name for name, event in bench.events if event["event"] == "start"]
    pids = [bench.note(f"{name}.runs")[0] for name in order]
    turn = order.index("bad") + 1
    assert 1 < turn < 5 and len(set(pids[:turn])) == len(set(pids[turn:])) == 1 and len(set(pids)) == 2


def test_the_death_of_a_warm_process_fails_no_stage(bench):
    """It is killed while idle, for example by the system when memory is low."""
    bench.write("a: {kind: light, do: [count]}\nb: {kind: light, do: [count], reads: [a]}")

    def watch(name, event):
        if (name, event["event"]) == ("a", "end"):
            pid = int(bench.note("a.runs")[0])
            os.kill(pid, signal.SIGKILL)
            assert gone(pid)

    assert bench.build(watch=watch).outcomes == {"a": "ran", "b": "ran"}
    assert bench.note("a.runs") != bench.note("b.runs")


def test_what_a_light_stage_prints_goes_to_its_own_log(bench, capfd):
    bench.write("a: {kind: light, do: [fail_silently, fail]}\nb: {kind: light, do: [fail], text: b}")
    done = bench.build(jobs=1)
    assert done.logs["a"].read_text().startswith("printed to the log\nabout to fail\n")
    assert done.logs["b"].read_text().startswith("about to fail\n")
    assert capfd.readouterr() == ("", "")


def test_an_interrupted_stage_saves_and_resumes(bench):
    bench.write("a: {kind: heavy, do: [save_on_sigterm]}")

    def watch(name, event):
        if event["event"] == "log":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.build(watch=watch)
    assert gone(int(bench.note("a.asleep")[0]), 1)
    assert bench.build().outcomes == {"a": "ran"}


def test_memory_is_shared_out_like_cores(bench):
    """Three stages that need 40% of the memory each: never more than two in parallel."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    lines = (f"{name}: {{kind: light, do: [nap], text: {name}, memory: {0.4 * gigabytes}}}" for name in "abc")
    bench.write("\n".join([*lines, f"d: {{kind: light, do: [nap], memory: {9 * gigabytes}}}"]))
    busy, peak = set(), []

    def watch(name, event):
        if event["event"] == "start":
            busy.add(name)
        elif event["event"] == "end":
            busy.discard(name)
        peak.append(sorted(busy))

    assert bench.build(jobs=8, watch=watch).ok
    assert max(map(len, peak)) == 2 and all(names == ["d"] for names in peak if "d" in names)


def test_without_keep_going_nothing_more_is_started(bench):
    bench.write("""
bad: {kind: light, do: [fail]}
running: {kind: heavy, do: [nap, nap, nap, nap, nap, nap]}
after: {kind: light, reads: [running]}
needs: {kind: light, reads: [bad]}
late: {kind: light, text: late}
""")
    done = bench.build(jobs=2, keep_going=False)
    assert done.outcomes == {
        "bad": "failed", "needs": "skipped", "running": "ran", "after": "skipped", "late": "skipped",
    }  # fmt: skip
    assert (
        "late",
        {"event": "end", "outcome": "skipped", "reason": "not started: bad failed", "seconds": 0.0},
    ) in bench.events
    assert bench.build(jobs=2).outcomes["late"] == "ran"


@pytest.mark.slow
def test_scheduling_takes_linear_time(tmp_path, monkeypatch):
    """The scheduler alone, on plans whose stages are all hits or all behind a failed one."""
    monkeypatch.setitem(KINDS["stages"], "light", TEST_KINDS["light"])
    took = []
    for count in (200, 2000):
        bench = Bench(tmp_path / str(count))
        bench.write("bad: {kind: light, do: [fail]}\n" + "\n".join(
            f"s{number}: {{kind: light, reads: [{f's{number - 1}' if number else 'bad'}]}}" for number in range(count)
        ))  # fmt: skip
        plan = bench.plan()
        start = time.process_time()
        done = build(plan, bench.store, lambda *_: None, BuildOptions(jobs=1))
        took.append(time.process_time() - start)
        assert list(done.outcomes.values()).count("skipped") == count
    assert took[1] < 40 * took[0] + 0.5
