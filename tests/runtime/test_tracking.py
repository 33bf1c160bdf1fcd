"""Experiment trackers: what they get of a build, and that nothing they do changes it.

Trackers that misbehave are packages that the tests write. What needs the real ones beside TensorBoard is nightly.
"""

import signal
from contextlib import nullcontext

import pytest

from astro_factory.core.tracking import TensorBoard
from astro_factory.plan.building import FinishedBuild, build_graph
from astro_factory.runtime import BuildOptions
from astro_factory.runtime.journal import open_journal
from astro_factory.runtime.tracking import tracked
from astro_factory.spec import compile_spec
from tests.cli.test_terminal import FAILED, RAN, START, planned
from tests.runtime.bench import Bench, gone

ROLLOUTS = [
    {"problem": "p|1", "text": "one\n<script>two", "verdict": "correct", "reward": 1.0},
    {"problem": "p2", "text": "", "verdict": "no_answer", "reward": None},
]
EVENTS = [
    ("a", START),
    ("b", START),
    ("a", {"event": "metric", "step": 1, "values": {"loss": 3.0, "reward": float("nan"), "note": "text"}}),
    ("b", {"event": "progress", "done": 5, "total": 10, "unit": "trees", "figures": {"solved": 0.5}}),
    ("a", {"event": "metric", "step": 2, "values": {"rollouts": ROLLOUTS}}),
    ("a", {"event": "metric", "step": 2, "values": {"loss": 2.0}}),
    ("a", RAN),
    ("b", {"event": "metric", "step": 0, "values": {"arm/pass@1[avg-of-8]": 0.25}}),
    ("b", FAILED),
]
FAKE = """\
import os, signal, time
at, what = {at!r}, {what!r}

def call(name):
    with open({notes!r}, "a") as file:
        file.write(f"{{name}} {{os.getpid()}}\\n")
    if at in (name, "any"):
        exec(what)

class Run:
    def __init__(self): call("init")
    def log(self, values, step): call("log")
    def finish(self): call("finish")

def Table(columns, data): return "table"
def init(**fields): return Run()
call("import")
"""


def write_spec(bench: Bench, track: str, stage: str = "a: {kind: light, do: [curve]}") -> None:
    bench.write(stage, f"track: {{{track}}}\n" if track else "")


def write_fake(bench: Bench, monkeypatch: pytest.MonkeyPatch, at: str, what: str, notes: str = "calls") -> None:
    """Put a package `trackio` on the path that misbehaves in one of its calls."""
    package = bench.folder / f"fake/{at}"
    package.mkdir(parents=True)
    (package / "trackio.py").write_text(FAKE.format(at=at, what=what, notes=str(bench.notes / notes)))
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv("PYTHONPATH", str(package), prepend=":")


def follow(bench: Bench, events: list = EVENTS) -> str:
    """Track these events of a build without running it; returns the fault."""
    with (
        bench.store.building() as number,
        tracked(compile_spec(bench.path), bench.store, number) as tracking,
        open_journal(bench.store, number) as journal,
    ):
        journal.plan(planned("a", "b"))
        tracking.start()
        for name, event in events:
            journal(name, event)
    return tracking.fault


def run(bench: Bench) -> FinishedBuild:
    return build_graph(
        compile_spec(bench.path), bench.store, BuildOptions(jobs=2), lambda *_: nullcontext(lambda *_: None)
    )


def event_files(bench: Bench, folder: str = "runs") -> dict:
    """The accumulated events of each run of TensorBoard, by stage."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for path in bench.folder.glob(f"{folder}/bench/*/*"):
        found[path.name] = EventAccumulator(str(path))
        found[path.name].Reload()
    return found


def points(events, tag: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in events.Scalars(tag)]


def test_tensorboard_gets_every_figure_of_every_stage(bench):
    pytest.importorskip("tensorboard")
    write_spec(bench, "kind: tensorboard, folder: curves")
    assert follow(bench) == ""
    runs = event_files(bench, "curves")
    assert runs.keys() == {"a", "b"}
    assert runs["a"].Tags()["scalars"] == ["loss"] and points(runs["a"], "loss") == [(1, 3.0), (2, 2.0)]
    assert points(runs["b"], "solved") == [(5, 0.5)] and points(runs["b"], "arm/pass@1[avg-of-8]") == [(0, 0.25)]
    (settings,), (rollouts,) = (runs["a"].Tensors(tag) for tag in ("settings", "rollouts"))
    assert b'| do | \\["curve"\\] |' in settings.tensor_proto.string_val[0]
    text = rollouts.tensor_proto.string_val[0].decode()
    assert "| p\\|1 | correct | 1.0 | one<br>\\<script\\>two |" in text and "<script>" not in text


@pytest.mark.slow
def test_a_tracked_build_is_the_untracked_one_and_a_hit_is_not_tracked(bench, tmp_path):
    pytest.importorskip("tensorboard")
    other = Bench(tmp_path / "other")
    write_spec(bench, "kind: tensorboard, project: mine")
    write_spec(other, "")
    done, untracked = run(bench), run(other)
    assert done.build.ok and done.tracking_fault == ""
    assert done.build.results["a"].key == untracked.build.results["a"].key
    assert done.build.results["a"].outputs == untracked.build.results["a"].outputs
    (folder,) = bench.folder.glob("runs/mine/*")
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert run(bench).build.outcomes == {"a": "hit"} and list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("at", "what", "fault"),
    [
        ("import", "raise RuntimeError('broken package')", "RuntimeError: broken package"),
        ("init", "raise ValueError('no such project')", "ValueError: no such project"),
        ("log", "raise OSError('server is gone')", "OSError: server is gone"),
        ("finish", "raise SystemExit('good bye')", "SystemExit: good bye"),
        ("log", "os._exit(3)", "its process failed"),
        ("init", "os.kill(os.getpid(), signal.SIGKILL)", "its process was killed by SIGKILL"),
    ],
)
def test_a_tracker_that_fails_is_named_and_does_not_outlive_the_build(bench, monkeypatch, at, what, fault):
    write_fake(bench, monkeypatch, at, what)
    write_spec(bench, "kind: trackio, timeout_s: 200")
    assert follow(bench).startswith(fault)
    calls = [line.split() for line in bench.note("calls")]
    assert all(gone(int(pid)) for _, pid in calls)
    if what.startswith("raise OSError"):
        assert [name for name, _ in calls].count("log") == 5, "a call that raises does not end the tracking"


@pytest.mark.parametrize("what", ["time.sleep(600)", "os.kill(os.getpid(), signal.SIGSTOP)"])
def test_a_tracker_that_hangs_is_stopped_and_the_build_ends(bench, monkeypatch, what):
    write_fake(bench, monkeypatch, "any", what)
    write_spec(bench, "kind: trackio, timeout_s: 3")
    assert "timeout_s" in follow(bench)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["raise RuntimeError('broken')", "time.sleep(600)", "os._exit(1)"])
def test_a_failing_tracker_changes_neither_bytes_nor_the_exit_code(bench, monkeypatch, what):
    write_fake(bench, monkeypatch, "any" if what.startswith("raise") else "init", what)
    write_spec(bench, "kind: trackio, timeout_s: 1")
    build = bench.start()
    _, errors = build.communicate(timeout=200)
    assert build.returncode == 0 and "\ntrack: " in f"\n{errors}" and "the build is not affected" in errors
    write_spec(bench, "")
    done = bench.build()
    assert done.outcomes == {"a": "hit"} and bench.output(done, "a") == "text"


@pytest.mark.slow
def test_a_tracker_that_hangs_ends_after_a_builder_that_was_killed(bench, monkeypatch):
    write_fake(bench, monkeypatch, "finish", "time.sleep(600)")
    write_spec(bench, "kind: trackio, timeout_s: 1", "a: {kind: heavy, do: [learn]}")
    build = bench.start()
    bench.note("a.learns")
    pid = int(bench.note("calls")[0].split()[1])
    build.send_signal(signal.SIGKILL)
    build.communicate()
    assert gone(pid, within_s=100)
    assert {line.split()[0] for line in bench.note("calls")} == {"import", "init", "log", "finish"}


def test_a_missing_package_is_a_warning_and_the_build_goes_on(bench, monkeypatch, golden):
    monkeypatch.setattr(TensorBoard, "package", "no_such_tracker")
    write_spec(bench, "kind: tensorboard")
    (warning,) = compile_spec(bench.path).warnings
    assert (warning.code, warning.place.line) == ("W105", 3)
    golden(str(warning))
    assert follow(bench) == "the package 'no_such_tracker' is not installed"


def test_the_folder_of_a_tool_is_not_its_package(tmp_path, monkeypatch):
    (tmp_path / "no_such_tracker").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(TensorBoard, "package", "no_such_tracker")
    assert not TensorBoard(kind="tensorboard").is_installed


# the real trackers, without a network


@pytest.mark.nightly
def test_wandb_offline(bench):
    pytest.importorskip("wandb", reason="`pip install 'astro-factory[track]'` installs it")
    write_spec(bench, "kind: wandb, mode: offline, entity: me")
    assert follow(bench) == ""
    runs = [path.read_bytes() for path in bench.folder.glob("runs/wandb/offline-run-*/*.wandb")]
    assert len(runs) == 2
    (own,) = (content for content in runs if b"rollouts" in content)
    assert b"loss" in own and b"bench" in own and b"curve" in own


@pytest.mark.nightly
def test_trackio_on_this_machine(bench, monkeypatch):
    pytest.importorskip("trackio", reason="`pip install 'astro-factory[track]'` installs it")
    monkeypatch.setenv("TRACKIO_DIR", str(bench.folder / "trackio"))
    write_spec(bench, "kind: trackio")
    assert follow(bench) == ""
    import sqlite3

    rows = sqlite3.connect(bench.folder / "trackio/bench.db").execute("select run_name, step, metrics from metrics")
    found = [(name.split()[0], step, bytes(values)) for name, step, values in rows]
    assert [(name, step) for name, step, _ in found if name == "a"] == [("a", 1), ("a", 2), ("a", 2)]
    assert {(name, step) for name, step, _ in found if name == "b"} == {("b", 5), ("b", 0)}
    assert b'"loss":3.0' in found[0][2] and any(b"no_answer" in values for *_, values in found)


@pytest.mark.nightly
def test_mlflow_in_files(bench, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="`pip install 'astro-factory[track]'` installs it")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = f"file:{bench.folder / 'mlruns'}"
    write_spec(bench, f"kind: mlflow, uri: '{uri}', project: mine")
    assert follow(bench) == ""
    client = mlflow.MlflowClient(uri)
    found = {
        run.info.run_name: run for run in client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    }
    assert {name: run.info.status for name, run in found.items()} == {"a": "FINISHED", "b": "FAILED"}
    history = client.get_metric_history(found["a"].info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 3.0), (2, 2.0)]
    assert found["b"].data.metrics == {"solved": 0.5, "arm/pass_1_avg-of-8_": 0.25}
    assert found["a"].data.params["do"] == '["curve"]' and [
        f.path for f in client.list_artifacts(found["a"].info.run_id)
    ]
