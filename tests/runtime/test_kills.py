"""Builds killed at random moments: the next build gives the same bytes as an uninterrupted one.

ASTRO_KILLS sets the number of kills. Both kinds of process die: the builder by the signal, the stages because the
builder is gone.
"""

import os
import random
import signal
import time

import pytest

from astro_factory.runtime import BuildOptions, build
from astro_factory.store import Store
from astro_factory.store.fsck import fsck
from tests.runtime.bench import Bench, gone

KILLS = int(os.environ.get("ASTRO_KILLS", "25"))
SPEC = """
a: {kind: light, do: [tasks]}
b: {kind: heavy, do: [tasks], text: b}
c: {kind: light, do: [tasks], text: c, reads: [a]}
d: {kind: heavy, do: [tasks], text: d, reads: [a, b]}
e: {kind: light, do: [tasks], text: e, reads: [c]}
f: {kind: light, do: [tasks], text: f, reads: [d, e]}
"""


def made(store: Store, results: dict) -> dict:
    """Everything in a store that a later build or a reader relies on."""
    return {
        "results": {name: (result.key, result.record, result.outputs) for name, result in results.items()},
        "blobs": {path.name: path.read_bytes() for path in (store.root / "blobs").glob("*/*")},
        "outputs": {
            f"{name}/{file}": (store.output(result) / file).read_bytes()
            for name, result in results.items()
            for file in result.outputs
        },
    }


def finished(store: Store, expected: dict) -> list[str]:
    """The stages whose results are stored."""
    return [name for name, (key, *_) in expected["results"].items() if store.result(key)]


def start(bench: Bench) -> int:
    """Begin a build in a fork of this process; its id."""
    if pid := os.fork():
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        signal.signal(signal.SIGTERM, interrupt)
        signal.signal(signal.SIGINT, interrupt)
        build(bench.plan(), bench.store, lambda *_: None, BuildOptions(jobs=2))
    finally:
        os._exit(0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """What a build of the spec makes, and how long it takes."""
    from tests.runtime.bench import TEST_KINDS

    with pytest.MonkeyPatch.context() as patch:
        from astro_factory.stages import KINDS

        for kind, module in TEST_KINDS.items():
            patch.setitem(KINDS["stages"], kind, module)
        bench = Bench(tmp_path_factory.mktemp("uninterrupted") / "bench")
        bench.write(SPEC)
        clock = time.monotonic()
        done = bench.build(jobs=2)
        assert done.ok
        return made(bench.store, done.results), time.monotonic() - clock


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("number", "count"), [(signal.SIGKILL, KILLS), (signal.SIGTERM, 3), (signal.SIGINT, 3)], ids=["kill", "term", "int"]
)
def test_a_build_killed_at_random_moments(bench, tmp_path, uninterrupted, number, count):
    expected, seconds = uninterrupted
    rng = random.Random(7)
    finished_before = []
    for index in range(count):
        bench = Bench(tmp_path / str(index))
        bench.write(SPEC)
        pid = start(bench)
        if index % 2:  # after each number of finished stages in turn, however fast or busy the machine is
            enough = index // 2 % len(expected["results"])
            while len(finished(bench.store, expected)) < enough:
                time.sleep(0.005)
        else:  # at any time
            time.sleep(rng.uniform(0, seconds))
        os.kill(pid, number)
        os.waitpid(pid, 0)
        assert gone(pid)
        there = finished(bench.store, expected)
        runs = {name: bench.note(f"{name}.finished") for name in there}
        finished_before.append(len(there))
        done = bench.build(jobs=2)
        assert done.ok, (index, done.failures)
        assert {name for name, outcome in done.outcomes.items() if outcome == "hit"} == set(there)
        assert runs == {name: bench.note(f"{name}.finished") for name in there}, "a finished stage ran again"
        assert made(bench.store, done.results) == expected, index
        assert fsck(bench.store).faults == []
        assert set(bench.build().outcomes.values()) == {"hit"}
    if count >= 25:
        assert 0 in finished_before and len(set(finished_before)) >= 4, "the moments were of all kinds"


@pytest.mark.slow
def test_two_builds_of_one_spec_killed_together_and_begun_again_together(bench, uninterrupted):
    bench.write(SPEC)
    expected, seconds = uninterrupted
    pids = [start(bench), start(bench)]
    time.sleep(seconds / 2)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    there = set(finished(bench.store, expected))
    before = {name: len(bench.note(f"{name}.finished")) for name in there}
    for pid in [start(bench), start(bench)]:
        os.waitpid(pid, 0)
    done = bench.build()
    assert set(done.outcomes.values()) == {"hit"} and made(bench.store, done.results) == expected
    assert {name: len(bench.note(f"{name}.finished")) for name in there} == before
    assert fsck(bench.store).faults == []
