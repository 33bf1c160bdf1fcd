"""Every command: its output for people, its JSON output and its exit code."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from astro_factory.cli.main import main
from astro_factory.core.canonical import digest
from astro_factory.json_shapes import json_shape
from astro_factory.stages import KINDS
from astro_factory.store import Store
from astro_factory.store.exports import write_export

ROOT = Path(__file__).parents[2]
SPEC = """\
factory: 1
name: small
params: {count: 20}
templates: {spare: reflection/terse.jinja}
problems:
  test: {kind: countdown, count: 5, split: test}
  unused: {kind: countdown, count: 5}
stages:
  drill: {kind: practice, count: ${params.count}}
publish:
  data: {repo: "file:out/data", artifacts: [test, drill]}
profiles:
  tiny: {params.count: 3}
"""


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with `spec.yaml`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASTRO_STORE", raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "200")
    Path("spec.yaml").write_text(SPEC)

    def command(*args: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["astro-factory", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        found = Ended(ended.value.code or 0, *capsys.readouterr())
        if "--json" in args:
            assert_documented(args, found)
        return found

    return command


def assert_documented(args: tuple[str, ...], found: Ended) -> None:
    """What a command printed with `--json` has the shape that the reference gives."""
    shown = next((f" {option}" for option in ("--log", "--tree") if option in args), "")
    name = "check" if found.code == 2 else "build" if args[0] == "publish" else args[0] + shown
    for line in found.out.splitlines():
        json_shape(f"{name} --json").validate_json(line, strict=True)


def test_check(run, golden):
    ended = run("check", "spec.yaml")
    assert (ended.code, ended.err) == (0, "")
    golden(ended.out)
    found = run("check", "spec.yaml", "--json").json
    assert (found["ok"], found["nodes"], found["errors"]) == (True, 4, [])
    assert [(warning["code"], warning["line"], warning["column"]) for warning in found["warnings"]] == [
        ("W101", 4, 13),
        ("W102", 7, 3),
    ]


def test_explain_error(run):
    for code in ("E104", "w101"):
        ended = run("explain-error", code)
        assert ended.code == 0 and ended.out.startswith(f"{code.upper()} ") and "```" not in ended.out
    ended = run("explain-error", "E999")
    assert ended.code == 2 and ended.err.startswith("E155 ")


@pytest.mark.parametrize(("stages", "made"), [(["test"], ["test"]), (["drill", "test", "drill"], ["test", "drill"])])
def test_build_of_some_stages_makes_them_and_what_they_need(run, stages, made):
    found = run("build", "spec.yaml", *stages, "--json").json
    assert [(item["name"], item["outcome"]) for item in found["stages"]] == [(name, "ran") for name in made]
    assert not Path("out").exists()


def test_mistakes_exit_with_2_and_without_traceback(run, golden):
    ended = run("check", "spec.yaml", "--set", "stages.drill.cuont=1", "--set", "problems.test.split=tset")
    assert (ended.code, ended.out) == (2, "")
    golden(ended.err)
    ended = run("check", "spec.yaml", "--set", "stages.drill.cuont=1", "--json")
    (found,) = ended.json["errors"]
    assert ended.code == 2 and ended.json["ok"] is False and "count" in found.pop("choices")
    assert found == {
        "code": "E104",
        "file": "--set stages.drill.cuont=1",
        "line": 0,
        "column": 0,
        "excerpt": "",
        "cause": "unknown key 'cuont' in stages.drill",
        "remedy": "did you mean 'count'?",
    }


MISTAKES = [
    ("E101", "check nothing.yaml"),
    ("E109", "check spec.yaml --profile tny"),
    ("E150", "show spec.yaml"),
    ("E151", "show spec.yaml:dril"),
    ("E151", "build spec.yaml drill tset"),
    ("E150", "export drill x.tar"),
    ("E152", "show spec.yaml:drill"),
    ("E152", "export spec.yaml:drill x.tar"),
    ("E153", "publish spec.yaml dat"),
    ("E153", "publish spec.yaml --set publish=null"),
    ("E154", "init ."),
]


@pytest.mark.parametrize(("code", "command"), MISTAKES)
def test_mistake(run, code, command, golden):
    ended = run(*command.split())
    assert (ended.code, ended.out) == (2, "") and f"{code} " in ended.err and "Traceback" not in ended.err
    golden(ended.err)


@pytest.mark.parametrize(
    "args",
    [
        ["bild"],
        ["build"],
        ["build", "spec.yaml", "--jbos", "2"],
        ["build", "spec.yaml", "--jobs", "0"],
        ["build", "spec.yaml", "--jobs", "0"],
        ["plan", "--json"],
    ],
)
def test_usage_errors_exit_with_2(run, args):
    ended = run(*args)
    assert ended.code == 2 and "Usage: " in ended.err and "Traceback" not in ended.err


def test_plan(run):
    ended = run("plan", "spec.yaml")
    assert ended.code == 0 and ended.out.splitlines()[-2] == "2 run, 1 pending"
    assert [line.split()[:3] for line in ended.out.splitlines()[1:4]] == [
        ["test", "countdown", "run"],
        ["drill", "practice", "run"],
        ["publish.data", "publish", "pending"],
    ]
    rows = {row["name"]: row for row in run("plan", "spec.yaml", "--json").json["stages"]}
    assert set(rows) == {"test", "drill", "publish.data"} and rows["test"]["section"] == "problems"
    assert rows["publish.data"].pop("estimate")["seconds"] is None
    assert (
        rows["publish.data"].items()
        >= {
            "name": "publish.data",
            "section": "publish",
            "kind": "publish",
            "key": None,
            "status": "pending",
            "reason": "waits for test, drill",
            "changes": [],
            "needs": ["test", "drill"],
            "gpus": None,
            "fits": None,
        }.items()
    )
    assert not Path(".astro").exists(), "plan creates nothing"


def test_a_plan_estimates_from_earlier_runs(run):
    stages = {stage["name"]: stage for stage in run("plan", "spec.yaml", "--json").json["stages"]}
    drill = {
        "calls": None,
        "tokens": None,
        "bytes": None,
        "rows": 20,
        "seconds": None,
        "processor": "cores",
        "basis": "",
        "most_calls": None,
        "most_tokens": None,
        "extrapolation": None,
    }
    assert stages["drill"]["estimate"] == drill
    assert run("plan", "spec.yaml").out.splitlines()[-1] == "to run or pending: the time of 3 is unknown"
    found = {stage["name"]: stage for stage in run("build", "spec.yaml", "--json").json["stages"]}
    took = found["drill"]["took"]
    assert took["rows"] == 20 and took["bytes"] > 0 and found["drill"]["estimate"] == drill
    again = run("plan", "spec.yaml", "--set", "params.count=40", "--json").json
    estimate = {stage["name"]: stage["estimate"] for stage in again["stages"]}["drill"]
    assert (
        estimate["basis"] == "from 1 earlier run" and estimate["rows"] == 40 and estimate["bytes"] == 2 * took["bytes"]
    )
    assert again["estimate"]["time_unknown"] == 0 and again["estimate"]["bytes"] >= estimate["bytes"]
    *_, total, wall = run("plan", "spec.yaml", "--set", "params.count=40").out.splitlines()
    assert " core-seconds, " in total and wall.startswith("wall time: ") and "longest chain" in wall
    assert again["wall_time"]["time_unknown"] == 0 and again["wall_time"]["critical_path"]


def test_a_sweep_is_planned_and_built_as_one(run):
    sweep = "sweeps: {counts: {axes: {params.count: [20, 30]}}}"
    Path("swept.yaml").write_text(SPEC.replace("stages:\n", "stages:\n  other: {kind: practice, count: 4}\n") + sweep)
    ended = run("plan", "swept.yaml", "--sweep", "counts")
    assert ended.code == 0 and ended.out.splitlines()[-1] == (
        "2 variants x 2 stages = 3 distinct, of them 1 shared by all"
    )
    assert [line.split()[:4] for line in ended.out.splitlines()[1:3]] == [
        ["other", "practice", "run", "never"],
        ["drill[2", "variants]", "practice", "2"],
    ]
    assert run("plan", "swept.yaml", "--sweep", "counts", "--json").json["sweep"] == {
        "variants": 2,
        "stages": 2,
        "distinct": 3,
        "shared": 1,
    }
    built = run("build", "swept.yaml", "--sweep", "counts", "--json").json
    assert built["counts"] == {"ran": 3} and not Path("out").exists(), "a sweep publishes nothing"
    assert [variant["nodes"]["drill"] for variant in built["variants"]] == ["drill[count=20]", "drill[count=30]"]
    again = run("build", "swept.yaml", "--sweep", "counts")
    assert again.code == 0 and "small, 2 variants: 3 hit in " in again.out
    assert run("plan", "swept.yaml", "--set", "params.count=30", "--json").json["counts"]["hit"] == 2
    more = run("plan", "swept.yaml", "--sweep", "counts", "--set", "sweeps.counts.axes={params.count: [20, 30, 31]}")
    assert "2 hit, 1 run" in more.out and "drill[count=31]: " in more.out, "the reason is that of who must run"
    assert "E160" in run("plan", "swept.yaml", "--sweep", "cuonts").err


def test_explain(run):
    run("build", "spec.yaml", "--no-publish")
    assert run("explain", "spec.yaml:drill").out.endswith(": no changes\n")
    ended = run("explain", "spec.yaml", "drill", "--set", "params.count=30")
    lines = ended.out.splitlines()
    assert ended.code == 0 and lines[0].startswith(
        "drill (practice): run, count: 20 -> 30 (--set params.count=30), key "
    )
    assert lines[1].startswith("compared with the last build (key ")
    assert lines[2:] == ["  config  count: 20 -> 30", "          at --set params.count=30"]
    found = run("explain", "spec.yaml", "publish.data", "--set", "params.count=30", "--json").json
    assert found["waits"] == ["drill"] and found["status"] == "pending" and found["against"] is None
    assert "E151" in run("explain", "spec.yaml", "dril").err
    ended = run("explain", "spec.yaml", "publish.data", "--set", "params.count=30")
    assert "waits for drill: explain those too\nthere is no record to compare with" in ended.out


def test_lock(run):
    assert run("lock", "spec.yaml").out == "no changes\n"
    assert "E144 'drill' is no model or problem set" in run("lock", "spec.yaml", "--update", "drill").err
    assert run("build", "spec.yaml", "--no-publish", "--locked").code == 0


def test_build_plan_show(run):
    ended = run("build", "spec.yaml", "--jobs", "2")
    assert ended.code == 0 and "small: 3 ran in " in ended.out and "drill          starts (never built)" in ended.out
    assert sorted(path.name for path in Path("out/data/data").iterdir()) == ["drill", "test"]
    again = run("build", "spec.yaml")
    assert again.code == 0 and again.out.startswith("small: 3 hit in ")
    assert run("plan", "spec.yaml", "--json").json["counts"] == {"hit": 3, "run": 0, "pending": 0, "import": 0}

    shown = run("show", "spec.yaml:drill").out
    assert shown.startswith("drill (practice), key ") and "dialogues.parquet" in shown
    folder = Path(run("show", "spec.yaml:drill", "--path").out.strip())
    assert folder.is_relative_to(Path(".astro").absolute()) and (folder / "dialogues.parquet").is_file()
    found = run("show", "spec.yaml:drill", "--json").json
    assert set(found) == {"stage", "kind", "key", "path", "summary", "files", "provenance"} and found["path"] == str(
        folder
    )
    assert run("show", "spec.yaml:publish.data").code == 0


def test_summary_for_machines(run):
    found = run("build", "spec.yaml", "--no-publish", "--json").json
    assert set(found) == {"ok", "spec", "seconds", "counts", "variants", "stages", "failures", "logs", "reports"}
    assert found["ok"] is True and found["counts"] == {"ran": 2} and not Path("out").exists()
    stage = {stage["name"]: stage for stage in found["stages"]}["drill"]
    assert set(stage) == {"name", "kind", "outcome", "key", "path", "seconds", "estimate", "took"}
    assert stage["outcome"] == "ran" and Path(stage["path"], "dialogues.parquet").is_file()


def test_a_users_mistake_in_a_stage_exits_with_1(run):
    """One that `check` cannot see, since it stands below the first rows."""
    good = "".join(f'{{"question": "1 + {n}", "answer": "{n + 1}"}}\n' for n in range(120))
    Path("mine.jsonl").write_text(good + "{oops}\n")
    sets = ("problems.mine={kind: file, path: mine.jsonl}", "publish.data.artifacts=[drill, mine]")
    args = ("spec.yaml", "--set", sets[0], "--set", sets[1])
    ended = run("build", *args)
    assert ended.code == 1 and "Traceback" not in ended.out + ended.err
    assert "mine failed: mine.jsonl:121:2 E427 not valid JSON: " in ended.out and "    {oops}\n     ^" in ended.out
    assert "publish.data   skipped (needs mine)" in ended.out
    again = shlex.join(["astro-factory", "build", *args])  # whole, and in one line, to be copied
    assert f"finished stages are kept; fix the cause and run `{again}` again" in ended.out
    found = run("build", *args, "--json")
    assert found.code == 1 and found.json["ok"] is False and set(found.json["failures"]) == {"mine"}
    assert found.json["counts"] == {"hit": 1, "failed": 1, "skipped": 1}


def test_a_bug_in_a_stage_names_its_log(run, monkeypatch):
    monkeypatch.setitem(KINDS["stages"], "light", "tests.runtime.kinds.light")
    defect = "stages.drill={kind: light, do: [fail]}"
    ended = run("build", "spec.yaml", "--no-publish", "--set", defect)
    assert ended.code == 1 and "drill failed: ValueError: no such luck" in ended.out
    (log,) = [line.split()[1] for line in ended.out.splitlines() if line.strip().startswith("log: ")]
    assert "ValueError: no such luck" in Path(log).read_text()
    assert f"the log of its last run is {log}" in run("show", "spec.yaml:drill", "--set", defect).err
    shown = run("show", "spec.yaml:drill", "--set", defect, "--log")
    assert (shown.code, shown.out) == (0, Path(log).read_text())


def test_the_log_of_a_stage(run, monkeypatch):
    monkeypatch.setitem(KINDS["stages"], "light", "tests.runtime.kinds.light")
    stages = "stages={said: {kind: light, do: [fail_silently]}, below: {kind: light, reads: [said], do: [curve]}}"
    settings = ("--set", "publish=null", "--set", stages)
    ended = run("show", "spec.yaml:said", "--log", *settings)
    remedy = shlex.join(["astro-factory", "build", "spec.yaml", *settings])
    assert ended == Ended(2, "", f"E156 'said' has not run in this store, so it has no log; run `{remedy}`\n")
    assert run("build", "spec.yaml", *settings).code == 0
    assert run("show", "spec.yaml:said", "--log", *settings).out == "printed to the log\n"
    found = run("show", "spec.yaml:said", "--log", "--json", *settings).json
    assert found["stage"] == "said" and Path(found["log"]).read_text() == found["text"] == "printed to the log\n"
    assert run("show", "spec.yaml:below", "--log", *settings) == Ended(0, "", "'below' ran and said nothing\n")
    other = (*settings[:3], stages.replace("fail_silently", "nap"))
    assert run("show", "spec.yaml:below", "--log", *other).err == "'below' ran and said nothing\n", "of its last key"


def test_store_and_profile(run, monkeypatch):
    run("build", "spec.yaml", "--no-publish", "--store", "one", "--profile", "tiny")
    assert Path("one/results").is_dir() and not Path(".astro").exists()
    monkeypatch.setenv("ASTRO_STORE", "one")
    counts = run("plan", "spec.yaml", "--profile", "tiny", "--json").json["counts"]
    assert counts["hit"] == 2
    reason = run("plan", "spec.yaml", "--json").json["stages"][1]["reason"]
    assert reason == "count: 3 -> 20 (spec.yaml:3:17)"


def test_an_export_is_imported_as_a_hit(run):
    run("build", "spec.yaml", "--no-publish")
    ended = run("export", "spec.yaml:drill", "shared/drill.tar")
    size = Path("shared/drill.tar").stat().st_size
    assert ended == Ended(0, f"shared/drill.tar: {size:,} bytes\n", "")
    Path("other.yaml").write_text(SPEC + "imports: [shared/drill.tar]\n")
    args = ("other.yaml", "--no-publish", "--store", "fresh", "--json")
    assert run("plan", "other.yaml", "--store", "fresh", "--json").json["counts"]["import"] == 1
    assert run("build", *args).json["counts"] == {"import": 1, "ran": 1}
    assert run("build", *args).json["counts"] == {"hit": 2}
    assert run("build", "other.yaml", "--no-publish", "--no-import", "--store", "third", "--json").json["counts"] == {
        "ran": 2
    }


def test_import_takes_an_export(run):
    run("build", "spec.yaml", "--no-publish")
    run("export", "spec.yaml:drill", "drill.tar")
    assert run("import", "drill.tar", "--store", "fresh").out == "drill.tar: 1 results, 1 with their files\n"
    assert run("import", "drill.tar", "--store", "fresh", "--json").json == {"results": 1, "with_files": 1}
    assert run("build", "spec.yaml", "--no-publish", "--store", "fresh", "--json").json["counts"] == {
        "hit": 1,
        "ran": 1,
    }
    Path("cut.tar").write_bytes(Path("drill.tar").read_bytes()[:700])
    assert "E130 'cut.tar' is not a store export" in run("import", "cut.tar").err
    assert "E130 'none.tar' is not a store export" in run("import", "none.tar").err


def test_gc_reports_before_it_deletes(run):
    assert run("gc").code == 0 and not Path(".astro").exists()
    for count in (20, 21):
        run("build", "spec.yaml", "--no-publish", "--set", f"params.count={count}")
    assert run("gc", "--json").json["bytes"] == 0
    args = ("gc", "--grace-days", "0", "--keep-last", "1")
    ended = run(*args)
    rows = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines() if line}
    assert rows["kept"] == ["not", "needed", "bytes"] and rows["blobs"][:2] == rows["results"][:2] == ["2", "1"]
    assert ended.out.endswith("run `astro-factory gc --delete`\n")
    found = run(*args, "--delete", "--json").json
    assert found["deleted"] and found["builds"] == 0 and found["folders"]["blobs"] == {
        "kept": 2, "collected": 1, "bytes": int(rows["blobs"][2].replace(",", "")),
    }  # fmt: skip
    assert run("fsck").code == 0
    sets = ("--set", "params.count=21", "--json")
    assert run("build", "spec.yaml", "--no-publish", *sets).json["counts"] == {"hit": 2}


def test_fsck_finds_and_heals(run):
    assert run("fsck").out == "0 blobs (0 bytes), 0 results (0 without their files), 0 items: 0 damaged\n"
    run("build", "spec.yaml", "--no-publish")
    found = run("fsck", "--json").json
    size = found["checked"].pop("bytes")
    assert size == sum(path.stat().st_size for path in Path(".astro/blobs").glob("*/*")) and found == {
        "ok": True,
        "checked": {"results": 2, "blobs": 2, "outputs": 2, "items": 0, "without_files": 0},
        "faults": [],
        "leftovers": [],
    }
    blob = next(Path(".astro/blobs").glob("*/*"))
    blob.chmod(0o644)
    blob.write_bytes(b"rot" + blob.read_bytes()[3:])
    ended = run("fsck")
    assert ended.code == 1 and f"damaged: blob {blob.absolute()}: does not match its digest" in ended.out
    assert ended.out.endswith("run `astro-factory fsck --repair`, then build to recreate what was damaged\n")
    assert run("fsck", "--json").json["ok"] is False
    repaired = run("fsck", "--repair")
    assert repaired.code == 0 and f"; moved to {Path('.astro/damaged').absolute()}/{blob.name}\n" in repaired.out
    assert run("build", "spec.yaml", "--no-publish", "--json").json["counts"] == {"hit": 1, "ran": 1}
    assert run("fsck").code == 0 and blob.exists()


def test_publish_and_pull(run):
    found = run("publish", "spec.yaml", "data", "--json")
    assert found.code == 0 and found.json["counts"] == {"ran": 3}
    pulled = run("pull", "file:out/data", "copy")
    assert pulled.code == 0 and Path("copy/README.md").is_file() and "copy" in pulled.out
    assert run("pull", "file:nowhere").code == 2
    withdrawn = run("withdraw", "file:out/data", "--reason", "wrong answers", "--json")
    assert withdrawn.code == 0 and withdrawn.json["status"] == "withdrawn"
    refused = run("pull", "file:out/data", "again")
    assert refused.code == 2 and "E726" in refused.err and "wrong answers" in refused.err
    assert run("publish", "spec.yaml", "--json").json["counts"] == {"hit": 3}
    undone = run("withdraw", "file:out/data", "--undo")
    assert undone.out.startswith("file:out/data: the notice is removed in commit ")
    assert run("pull", "file:out/data", "again").code == 0


def test_init_makes_a_workspace_that_checks(run):
    ended = run("init", "mine")
    assert ended.code == 0 and "mine/specs/my_problems.yaml" in ended.out
    assert run("check", "mine/specs/my_problems.yaml").code == 0


def test_no_arguments_is_help(run):
    ended = run()
    assert "Usage: " in ended.out + ended.err
    assert all(
        name in ended.out + ended.err for name in ("check", "plan", "build", "show", "export", "publish", "pull")
    )


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "astro_factory", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "Usage: " in done.stdout


def test_commands_that_run_nothing_load_nothing_heavy(run, tmp_path):
    """In a separate process: `check`, `plan` and a build with nothing to do start fast."""
    assert run("build", "spec.yaml").code == 0
    heavy = {"torch", "transformers", "trl", "datasets", "pyarrow", "numpy", "huggingface_hub", "sympy"}
    small = {"filelock", "rich.progress", "jinja2", "asyncio"}
    for command, never in (("check", heavy | small), ("plan", heavy | small), ("build", heavy | small)):
        code = (
            "import sys\nfrom astro_factory.cli.main import main\n"
            f"sys.argv = ['astro-factory', {command!r}, 'spec.yaml', '--set', 'templates=null']\n"
            "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
            f"sys.exit(str(sorted({never!r} & set(sys.modules))))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert done.stderr == "[]\n", (command, done.stderr)


def test_a_closed_pipe_is_no_traceback(run, tmp_path):
    command = f"{sys.executable} -m astro_factory build spec.yaml | true"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.stderr == ""


def test_doctor(run, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = run("doctor", "--json").json
    assert {"python", "packages", "machine", "gpu", "store", "hub"} <= {
        finding["name"] for finding in found["findings"]
    }
    assert found["ok"] == all(finding["level"] != "problem" for finding in found["findings"])
    ended = run("doctor", "--store", "/proc/nowhere")
    assert ended.code == 1 and "problem  store: /proc/nowhere cannot be written" in ended.out
    assert "--store or ASTRO_STORE" in ended.out


def test_check_covers_every_variant_of_every_sweep(run):
    sweeps = "sweeps: {one: {axes: {params.count: [20, 30]}}, two: {axes: {stages.drill.cuont: [1]}}}"
    Path("swept.yaml").write_text(SPEC + sweeps)
    ended = run("check", "swept.yaml")
    assert ended.code == 2 and "E104 unknown key 'cuont' in stages.drill; did you mean 'count'?" in ended.err
    assert ended.err.startswith(f"swept.yaml:{SPEC.count(chr(10)) + 1}:")


@pytest.mark.parametrize("command", ["plan spec.yaml", "build spec.yaml", "gc", "fsck"])
def test_a_store_that_is_a_file(run, command):
    Path("taken").write_text("a file")
    ended = run(*command.split(), "--store", "taken", "--json")
    assert ended.code == 2 and ended.json["errors"][0]["code"] == "E178"
    assert run(*command.split(), "--store", "taken/below").err.startswith("E178 'taken/below' cannot be a store: ")


def test_an_export_that_lacks_a_file_of_its_type(run):
    record = {"section": "stages", "kind": "practice"}
    Path("made").mkdir()
    Path("made/notes.txt").write_text("x")
    store = Store(Path("theirs"))
    write_export(store, Path("x.tar"), [store.commit(digest(record), record, Path("made"), {})], [])
    ended = run("import", "x.tar", "--json")
    assert ended.code == 2 and ended.json["errors"][0]["code"] == "E177"
    assert not list(Path(".astro").glob("results/*/*"))
