"""Builds in this process: what runs, what fails alone, what resumes, what is kept."""

import json
import time
from pathlib import Path

import pytest

from astro_factory.core.errors import Diagnostic, Place
from astro_factory.core.plans import Status
from astro_factory.runtime import build
from astro_factory.spec import compile_spec
from astro_factory.store import Store
from astro_factory.store.exports import write_export
from tests.runtime.bench import Bench, gone

BOTH = pytest.mark.parametrize("kind", ["light", "heavy"])


@BOTH
def test_a_chain(bench, kind):
    bench.write(f"""
a: {{kind: {kind}, text: one, do: [count, curve]}}
b: {{kind: {kind}, text: two, reads: [a], do: [count]}}
c: {{kind: light, text: three, reads: [a, b]}}
""")
    done = bench.build()
    assert done.ok and done.outcomes == dict.fromkeys("abc", "ran")
    assert bench.output(done, "c").split() == ["three", "one", "two", "one"]
    assert [event["event"] for name, event in bench.events if name == "a"] == [
        "start",
        *["metric"] * 3,
        "progress",
        "end",
    ]
    again = bench.build()
    assert again.outcomes == dict.fromkeys("abc", "hit") and again.results == done.results
    assert len(bench.note("a.runs")) == len(bench.note("b.runs")) == 1
    assert not list((bench.store.root / "staging").iterdir())


def test_provenance_is_beside_the_output_not_in_it(bench):
    bench.write("a: {kind: heavy, do: [curve]}")
    result = bench.build().results["a"]
    assert list(result.outputs) == ["out.txt"]
    assert [point["loss"] for point in result.provenance["metrics"]] == [3.0, 2.0, 1.0]
    assert {"versions", "machine", "cpu", "started", "seconds"} <= set(result.provenance)
    text = json.dumps(result.record)
    assert str(bench.folder) not in text and "notes" not in text


def test_the_curve_of_a_resumed_run_begins_at_the_first_step(bench):
    bench.write("a: {kind: heavy, do: [curve_in_two_runs]}")
    assert not bench.build().ok
    points = bench.build().results["a"].provenance["metrics"]
    assert [(point["step"], point["loss"]) for point in points] == [(1, 10.0), (2, 20.0), (3, 31.0), (4, 41.0)]
    (earlier,) = (event["points"] for _, event in bench.events if event["event"] == "curve")
    assert [point["step"] for point in earlier] == [1, 2, 3], "for those who watch; the third is made again"


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("fail", "ValueError: no such luck"),
        ("leave", "SystemExit: gone"),
        ("exit", "its process ended with code 7"),
        ("die", "its process was killed by SIGKILL"),
        ("crash", "its process was killed by SIGSEGV"),
        ("nothing", "it ended without any output"),
    ],
)
def test_a_failed_stage_fails_alone(bench, kind, action, reason):
    bench.write(f"""
bad: {{kind: {kind}, do: [count, {action}]}}
follower: {{kind: light, reads: [bad]}}
last: {{kind: light, reads: [follower]}}
other: {{kind: light, do: [nap]}}
""")
    done = bench.build()
    assert not done.ok
    assert done.outcomes == {"bad": "failed", "follower": "skipped", "last": "skipped", "other": "ran"}
    assert done.failures["bad"].splitlines()[0] == reason
    assert ("follower", {"event": "end", "outcome": "skipped", "reason": "needs bad", "seconds": 0.0}) in bench.events
    assert bench.build().outcomes["other"] == "hit" and len(bench.note("bad.runs")) == 2
    if action == "fail":
        log = done.logs["bad"].read_text()
        assert log.startswith("about to fail\n") and "ValueError: no such luck" in log
        assert ("bad", {"event": "log", "text": "about to fail"}) in bench.events
    if words := {"fail": "raise ValueError", "die": "last words", "crash": "in crash"}.get(action):
        assert words in done.failures["bad"], "the end of the log is part of the message"


@BOTH
def test_a_users_mistake_keeps_its_place_and_has_no_traceback(bench, kind):
    bench.write(f"bad: {{kind: {kind}, do: [mistake]}}")
    done = bench.build()
    expected = [
        Diagnostic("E900", "a row is wrong", "fix it", Place("problems.jsonl", 3, 7), "    {oops}\n     ^"),
        Diagnostic("E901", "so is another"),
    ]
    assert done.failures == {"bad": "\n".join(map(str, expected))}
    assert done.logs == {}


def test_a_killed_stage_goes_on_from_what_it_kept(bench):
    bench.write("a: {kind: heavy, do: [die_once]}")
    assert bench.build().outcomes == {"a": "failed"}
    done = bench.build()
    assert done.outcomes == {"a": "ran"} and bench.note("a.resumed") == ["half way"]
    assert list(done.results["a"].outputs) == ["out.txt"], "what the killed run left in its output is gone"


@pytest.mark.parametrize("action", ["child", "forked_child"])
def test_what_a_stage_leaves_running_ends_with_it(bench, action):
    bench.write(f"a: {{kind: heavy, do: [{action}]}}\nb: {{kind: heavy, do: [{action}, die]}}")
    done = bench.build()
    assert done.outcomes == {"a": "ran", "b": "failed"}
    assert gone(int(bench.note("a.child")[0])) and gone(int(bench.note("b.child")[0]))


def test_early_cut_off(bench):
    stages = "a: {{kind: light, do: [{do}]}}\nb: {{kind: heavy, reads: [a], do: [count]}}"
    bench.write(stages.format(do="count"))
    bench.build()
    bench.write(stages.format(do="count, nap"))
    assert [str(item.status) for item in bench.plan().nodes.values()] == ["run", "pending"]
    assert bench.build().outcomes == {"a": "ran", "b": "hit"}
    assert len(bench.note("b.runs")) == 1


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (2, 2), (3, 3), (8, 6)])
def test_stages_use_no_more_cores_than_allowed(bench, jobs, most):
    bench.write("\n".join(f"s{cores}{n}: {{kind: light, do: [nap], takes: {cores}}}" for cores in (1, 2) for n in "ab"))
    busy, peak = {}, []

    def watch(name, event):
        if event["event"] == "start":
            busy[name] = min(int(name[1]), jobs)
        elif event["event"] == "end":
            busy.pop(name)
        peak.append(sum(busy.values()))

    assert bench.build(jobs=jobs, watch=watch).ok
    assert max(peak) == most


def test_a_changed_input_file_is_noticed(bench, golden):
    data = bench.folder / "data.txt"
    data.write_text("first")
    bench.write("a: {kind: light, file: data.txt}\nb: {kind: light}")
    plan = bench.plan()
    data.write_text("second")
    done = build(plan, bench.store, lambda *_: None)
    assert done.outcomes == {"a": "failed", "b": "ran"}
    golden(done.failures["a"])
    assert bench.output(bench.build(), "a") == "text\nsecond"


def test_an_input_file_that_changes_while_it_is_read_is_noticed(bench, golden):
    (bench.folder / "data.txt").write_text("first")
    bench.write("a: {kind: light, file: data.txt, do: [edit]}")
    done = bench.build()
    assert list(done.failures) == ["a"]
    golden(done.failures["a"])
    assert not list(bench.store.root.glob("results/*/*"))


def test_an_input_file_that_vanishes(bench):
    (bench.folder / "data.txt").write_text("first")
    bench.write("a: {kind: light, file: data.txt}\nb: {kind: light, reads: [c], file: data.txt}\nc: {kind: light}")
    plan = bench.plan()
    (bench.folder / "data.txt").unlink()
    done = build(plan, bench.store, lambda *_: None)
    assert done.outcomes == {"a": "failed", "b": "failed", "c": "ran"}
    for name in "ab":
        assert "E101 cannot read 'data.txt': No such file or directory" in done.failures[name]


def test_a_rerun_with_other_content_reaches_what_was_planned_on_the_old(bench):
    """The files of `a` are lost and a new run gives other bytes: `b` must not use the old digest."""
    bench.write("a: {kind: light}\nb: {kind: light, reads: [a], text: before}")
    first = bench.build()
    path = bench.store.output(first.results["a"]) / "out.txt"
    for entry in first.results["a"].outputs.values():
        bench.store.blob_path(entry["sha256"]).unlink()
    path.unlink()
    plan = bench.plan("stages.b.text=after")
    assert [item.status for item in plan.nodes.values()] == [Status.RUN, Status.RUN]
    other = bench.folder / "other"
    other.mkdir()
    (other / "out.txt").write_text("another text")
    bench.store.commit(plan.nodes["a"].key, plan.nodes["a"].record, other, {})
    done = build(plan, bench.store, lambda *_: None)
    assert bench.output(done, "b") == "after\nanother text"
    assert done.results["b"].record["config"]["reads"] == [{"content": done.results["a"].content}]


def test_a_damaged_import_fails_alone(bench, tmp_path):
    bench.write("a: {kind: light, do: [table]}\nb: {kind: light, text: other}")
    made = bench.build()
    export = bench.folder / "a.tar"
    write_export(bench.store, export, [made.results["a"]], [])
    data = bytearray(export.read_bytes())
    data[data.rindex(b"text")] ^= 1
    export.write_bytes(data)
    fresh = Bench(tmp_path / "fresh")
    (fresh.folder / "a.tar").write_bytes(data)
    fresh.write("a: {kind: light, do: [table]}\nb: {kind: light, text: other}", "imports: [a.tar]\n")
    done = fresh.build()
    assert done.outcomes == {"a": "failed", "b": "ran"} and done.failures["a"].startswith("E131 'a.tar'")


def test_an_import_is_taken_and_used(bench, tmp_path):
    stages = (
        "a: {kind: heavy, do: [count, table]}\nb: {kind: light, do: [table], reads: [a]}\nc: {kind: light, reads: [b]}"
    )
    bench.write(stages)
    made = bench.build()
    fresh = Bench(tmp_path / "fresh")
    write_export(bench.store, fresh.folder / "b.tar", [made.results["b"]], [made.results["a"]])
    fresh.write(stages, "imports: [b.tar]\n")
    done = fresh.build()
    assert done.outcomes == {"a": "import", "b": "import", "c": "ran"}
    assert done.results["c"].content == made.results["c"].content
    assert not (fresh.notes / "a.runs").exists()
    assert fresh.build().outcomes == dict.fromkeys("abc", "hit")


@BOTH
def test_an_interrupt_ends_at_once_and_the_next_build_goes_on(bench, kind):
    bench.write(f"a: {{kind: light}}\nb: {{kind: {kind}, reads: [a], do: [sleep_unless_woken]}}")
    when = []

    def watch(name, event):
        if event["event"] == "log":
            when.append(time.monotonic())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.build(watch=watch)
    assert time.monotonic() - when[0] < 20
    assert gone(int(bench.note("b.asleep")[0]))
    (bench.notes / "awake").touch()
    assert bench.build().outcomes == {"a": "hit", "b": "ran"}


def test_an_error_of_the_watcher_ends_the_build_and_its_stages(bench):
    bench.write("a: {kind: heavy, do: [sleep]}")

    def watch(name, event):
        if event["event"] == "log":
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        bench.build(watch=watch)
    assert gone(int(bench.note("a.asleep")[0]))


@pytest.mark.slow
def test_equal_keys_and_bytes_in_two_folders(tmp_path):
    spec = (Path(__file__).parents[1] / "plan/problems.jsonl").read_text()
    seen = []
    for name in ("here", "there/deep"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "problems.jsonl").write_text(spec)
        (folder / "spec.yaml").write_text(
            "factory: 1\nname: small\n"
            "problems:\n"
            "  mine: {kind: file, path: problems.jsonl, fields: {level: level}}\n"
            "  puzzles: {kind: countdown, count: 20, seed: 3}\n"
            "stages: {drill: {kind: practice, count: 50}}\n"
            f"publish: {{data: {{repo: 'file:{folder}/out', artifacts: [mine, puzzles, drill]}}}}\n"
        )
        bench = Bench(folder / "bench")
        bench.path = folder / "spec.yaml"
        done = bench.build(f"publish.data.repo=file:{tmp_path}/out")
        assert done.ok, done.failures
        seen.append(
            {
                name: (result.key, {file: entry["sha256"] for file, entry in result.outputs.items()})
                for name, result in done.results.items()
            }
        )
    assert seen[0] == seen[1] and set(seen[0]) == {"mine", "puzzles", "drill", "publish.data"}


def test_a_config_survives_serialization_to_a_stage_process():
    """Validators may depend on which fields are set, as that of `match_count` does."""
    graph = compile_spec(Path(__file__).parents[1] / "plan/all_kinds.yaml")
    for node in graph.nodes.values():
        sent = json.loads(json.dumps(node.config.model_dump(mode="json", exclude_unset=True)))
        assert type(node.config).model_validate(sent) == node.config


def test_a_published_folder_that_is_gone_is_published_again(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    bench.path.write_text(
        "factory: 1\nname: pub\nstages: {drill: {kind: practice, count: 5}}\n"
        "publish: {data: {repo: 'file:out', artifacts: [drill]}}\n"
    )
    assert set(bench.build().outcomes.values()) == {"ran"}
    assert set(bench.build().outcomes.values()) == {"hit"}
    next((bench.folder / "out").rglob("*.parquet")).unlink()
    assert bench.plan().nodes["publish.data"].reason == "what it published is gone"
    assert bench.build().outcomes == {"drill": "hit", "publish.data": "ran"}
    assert set(bench.build().outcomes.values()) == {"hit"}


def test_heads_name_the_last_results(bench):
    bench.write("a: {kind: light}\nb: {kind: light, text: b}")
    first = bench.build()
    assert bench.store.heads("bench") == {name: result.key for name, result in first.results.items()}
    second = bench.build("stages.b.text=c")
    assert bench.store.heads("bench") == {name: result.key for name, result in second.results.items()}
    bench.build("stages.b.text=b")  # all hits
    assert bench.store.heads("bench")["b"] == first.results["b"].key


def test_a_store_of_its_own_is_made_where_there_is_none(bench):
    bench.write("a: {kind: heavy}")
    bench.store = Store(bench.folder / "not/yet/there")
    assert bench.build().ok
