"""Builds in separate processes: killed, interrupted, concurrent."""

import json
import signal
import time

import pytest

from tests.runtime.bench import alive, gone

CHAIN = """
first: {kind: light, do: [count]}
second: {kind: KIND, reads: [first], do: [count, MORE sleep_unless_woken]}
third: {kind: light, reads: [second]}
"""


def chain(kind: str, more: str = "") -> str:
    return CHAIN.replace("KIND", kind).replace("MORE", more)


def finished(bench, *more: str) -> dict:
    """Wake the sleeping stage and build to the end; returns the outcomes."""
    (bench.notes / "awake").touch()
    builder = bench.start("--json", *more)
    out, err = builder.communicate(timeout=120)
    assert builder.returncode == 0, err
    return {stage["name"]: stage["outcome"] for stage in json.loads(out)["stages"]}


@pytest.mark.slow
def test_no_process_survives_a_builder_killed_by_kill_9(bench):
    bench.write(chain("heavy", "child, forked_child,"))
    builder = bench.start()
    asleep, children = int(bench.note("second.asleep")[0]), [int(pid) for pid in bench.note("second.child")]
    assert alive(asleep) and len(children) == 2 and all(map(alive, children))
    builder.kill()
    builder.communicate()
    assert gone(asleep) and all(map(gone, children))
    assert finished(bench) == {"first": "hit", "second": "ran", "third": "ran"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["light", "heavy"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_build_resumes(bench, kind, number):
    bench.write(chain(kind))
    builder = bench.start()
    asleep = int(bench.note("second.asleep")[0])
    builder.send_signal(number)
    clock = time.monotonic()
    out, err = builder.communicate(timeout=60)
    assert time.monotonic() - clock < 20
    assert builder.returncode == 130 and err.startswith("interrupted; ")
    assert "second" in out and gone(asleep)
    assert finished(bench) == {"first": "hit", "second": "ran", "third": "ran"}


def test_an_interrupt_does_not_wait_for_another_builders_lock(bench):
    bench.write(chain("heavy"))
    one = bench.start()
    bench.note("second.asleep")
    two = bench.start()
    try:
        for line in two.stdout:
            if "waiting for another build" in line:
                break
        two.send_signal(signal.SIGINT)
        two.communicate(timeout=60)
        assert two.returncode == 130
    finally:
        one.kill()
        one.communicate()


@pytest.mark.slow
def test_two_builders_share_the_work(bench):
    bench.write("""
a: {kind: heavy, do: [count, nap]}
b: {kind: light, do: [count, nap], text: b}
c: {kind: heavy, reads: [a, b], do: [count]}
d: {kind: light, reads: [c], do: [count]}
""")
    builders = [bench.start("--json") for _ in range(2)]
    outputs = [builder.communicate(timeout=180) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], outputs
    assert [len(bench.note(f"{name}.runs")) for name in "abcd"] == [1, 1, 1, 1]
    stages = [{s["name"]: (s["key"], s["outcome"]) for s in json.loads(out)["stages"]} for out, _ in outputs]
    for name in "abcd":
        assert stages[0][name][0] == stages[1][name][0]
        assert sorted(outcome for _, outcome in (stages[0][name], stages[1][name])) == ["hit", "ran"]
