"""The spend limit of a whole build: it stops all stages together, keeps their work, and the same build continues."""

import pytest

from astro_factory.runtime import spending
from astro_factory.runtime.spending import Spending, SpendLimit, SpendLimitReached


@pytest.mark.slow
def test_a_build_stops_at_its_tokens_and_the_same_build_continues(bench):
    bench.write(
        "a: {kind: heavy, do: [spend]}\nb: {kind: light, do: [count]}\nc: {kind: light, reads: [a], do: [count]}"
    )
    limit = SpendLimit(tokens=40)
    with pytest.raises(SpendLimitReached) as stopped:
        bench.build(spending=Spending(limit))
    [error] = stopped.value.diagnostics
    assert error.code == "E184" and error.cause.startswith("the build reached its limit of 40 tokens (")
    first = bench.note("a.spent")
    assert 4 <= len(first) < 10
    assert not (bench.notes / "c.runs").exists(), "nothing starts after the limit"
    assert ("a", {"event": "log", "text": "asked to save and stop; Ctrl-C stops it at once"}) in bench.events
    done = bench.build(spending=Spending(SpendLimit(tokens=1000)))
    assert done.outcomes == {"a": "ran", "b": "hit", "c": "ran"}
    assert bench.note("a.spent") == [str(number) for number in range(10)], "its work was kept"


@pytest.mark.slow
def test_a_build_stops_at_its_hours_while_stages_are_silent(bench):
    bench.write("a: {kind: heavy, do: [hang]}")
    with pytest.raises(SpendLimitReached, match=r"its limit of 0\.0005 hours"):
        bench.build(spending=Spending(SpendLimit(hours=0.0005)))


def test_the_command_ends_with_its_own_exit_code_and_json(bench):
    bench.write("a: {kind: light, do: [hang]}")
    process = bench.start("--max-hours", "0", "--json")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 3 and '"code": "E184"' in out


def test_gpu_hours_grow_while_gpus_are_held(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(spending.time, "monotonic", lambda: now[0])
    spent = Spending(SpendLimit(gpu_hours=4))
    assert spent.seconds_left() is None, "without GPUs no time limits the build"
    spent.hold(2)
    now[0] += 3600
    assert spent.seconds_left() == 3600
    spent.hold(4)
    assert spent.seconds_left() == 1800
    now[0] += 900
    spent.hold(0)
    now[0] += 9000
    spent.check()
    spent.hold(1)
    now[0] += 3600
    with pytest.raises(SpendLimitReached, match="its limit of 4 GPU-hours"):
        spent.check()
