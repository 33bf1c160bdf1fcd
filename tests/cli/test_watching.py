"""`watch` and the live table on builds in processes of their own."""

import json
import re
import signal
import subprocess
import sys
from functools import partial

import pytest

from astro_factory.cli.main import main
from astro_factory.json_shapes import json_shape
from tests.cli.screens import ProgramOnScreen
from tests.runtime.bench import ROOT, Bench, gone

SPEC = """
first: {kind: light}
learner: {kind: heavy, do: [learn], reads: [first]}
last: {kind: light, reads: [learner]}
"""


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "bench")
    bench.write(SPEC)
    return bench


def command(bench: Bench, *args: object) -> list[object]:
    return [sys.executable, "-m", "tests.runtime.bench", *args, bench.path, "--store", bench.store.root]


def start_watch(bench: Bench, *args: str) -> subprocess.Popen:
    return subprocess.Popen(command(bench, "watch", *args), cwd=ROOT, stdout=subprocess.PIPE, text=True)


def masked(lines: list[str]) -> str:
    """A screen without its clocks and process ids."""
    text = re.sub(r"\b\d:\d\d:\d\d\b", "H:MM:SS", "\n".join(lines))
    return re.sub(r"process \d+", "process N", text)


@pytest.mark.slow
def test_a_running_build_is_watched_to_its_end(bench):
    build = bench.start()
    try:
        bench.note("learner.learns")
        watch, plain = start_watch(bench, "--json"), start_watch(bench)
        line = json.loads(watch.stdout.readline())
        (found,) = json_shape("watch --json").validate_python(line, strict=True)["builds"]
        assert (found["state"], found["pid"]) == ("running", build.pid) and found["remaining"] is None
        stages = {stage["name"]: stage for stage in found["stages"]}
        assert [stage["state"] for stage in stages.values()] == ["ran", "runs", "waits"]
        learner = stages["learner"]
        assert (learner["done"], learner["total"], learner["phase"]) == (30, 60, "train")
        assert learner["curve"]["step"] == list(range(1, 31)) and learner["curve"]["reward"][-1] == 0.5
        assert learner["rollouts"]["step"] == 30 and len(learner["rollouts"]["rollouts"]) == 2
        assert list(bench.store.root.glob("builds/*.jsonl"))
        assert plain.stdout.readline() == f"process {build.pid}: 3 stages to build\n"
        (bench.notes / "go").touch()
        assert build.wait(100) == 0
        last = json.loads(watch.stdout.readlines()[-1])["builds"]
        assert [entry["state"] for entry in last] == ["finished"] and watch.wait(100) == 0
        assert {stage["state"] for stage in last[0]["stages"]} == {"ran"}
        out = plain.stdout.read()
        assert plain.wait(100) == 0 and "step 1: reward" in out and f"finished (process {build.pid})" in out
    finally:
        build.kill()
    assert not list(bench.store.root.glob("builds/*")), "the journal goes with the build"


def run_watch(bench, monkeypatch, capsys, *args: str) -> tuple[int, str]:
    monkeypatch.chdir(bench.folder)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["astro-factory", "watch", "spec.yaml", "--store", "store", *args])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0, "".join(capsys.readouterr())


def test_no_build_runs(bench, monkeypatch, capsys, golden):
    code, out = run_watch(bench, monkeypatch, capsys)
    assert code == 0
    golden(out)
    code, out = run_watch(bench, monkeypatch, capsys, "--json")
    assert (code, json.loads(out)) == (0, {"spec": "spec.yaml", "builds": []})
    bench.path.unlink()
    code, out = run_watch(bench, monkeypatch, capsys)
    assert code == 2 and out.startswith("E101")


@pytest.mark.slow
def test_a_killed_build_does_not_count_as_running(bench, monkeypatch, capsys):
    build = bench.start()
    pid = int(bench.note("learner.learns")[0])
    watch = start_watch(bench, "--json")
    assert json.loads(watch.stdout.readline())["builds"][0]["state"] == "running"
    build.kill()
    build.communicate()
    assert json.loads(watch.stdout.readlines()[-1])["builds"][0]["state"] == "killed" and watch.wait(100) == 1
    for _ in range(2):
        code, out = run_watch(bench, monkeypatch, capsys)
        assert code == 1 and f"the build was killed; the same command resumes it (process {build.pid})" in out
    assert gone(pid)
    (bench.notes / "go").touch()
    again = bench.start()
    assert again.wait(100) == 0
    code, out = run_watch(bench, monkeypatch, capsys)
    assert code == 0 and out.startswith("no build of spec.yaml is running")


@pytest.mark.slow
def test_several_builds_and_one_that_is_interrupted(bench):
    builds = [bench.start(), bench.start("--set", "stages.learner.text=other")]
    try:
        while len(bench.note("learner.learns")) < 2:
            pass
        watch = start_watch(bench, "--json")
        found = json.loads(watch.stdout.readline())["builds"]
        assert {entry["pid"]: entry["state"] for entry in found} == {build.pid: "running" for build in builds}
        builds[1].send_signal(signal.SIGINT)
        builds[1].communicate()
        (bench.notes / "go").touch()
        assert builds[0].wait(100) == 0
        last = json.loads(watch.stdout.readlines()[-1])["builds"]
        assert {entry["pid"]: entry["state"] for entry in last} == {
            builds[0].pid: "finished",
            builds[1].pid: "interrupted",
        }
        assert watch.wait(100) == 1
    finally:
        for build in builds:
            build.kill()


def drawn(width: int, rows: int, lines: list[str]) -> bool:
    """Whether a screen shows a table of a width, with so many rows, and nothing else."""
    return len(lines) == rows and lines[0].endswith("left") and width - 9 < len(lines[0]) <= width


@pytest.mark.slow
def test_the_screens_of_a_build_and_its_watch_while_their_sizes_change(bench, golden):
    build = ProgramOnScreen(command(bench, "build"), 120, 20, ROOT)
    try:
        bench.note("learner.learns")
        watch = ProgramOnScreen(command(bench, "watch"), 80, 20, ROOT)
        for program in (build, watch):
            program.until(lambda lines: any("30/60 steps" in line for line in lines))
            for width, height in [(60, 20), (200, 30), (80, 12)]:
                program.resize(width, height)
                lines = program.until(partial(drawn, width, 5 if program is build else 10))
                names = [line.split()[0] for line in lines]
                assert names[:5] == ["elapsed", "all", "learner", "first", "last"], lines
                assert all(len(line) <= width for line in lines)
                golden(masked(lines))
        (bench.notes / "go").touch()
        assert [build.ended(), watch.ended()] == [0, 0]
        assert sum(line.startswith("all stages") for line in watch.lines()) == 1
        assert any(line.startswith("the build has finished") for line in watch.lines())
    finally:
        (bench.notes / "go").touch()  # a failed test leaves no build behind
