"""`report` and `show` over a store in which everything is built."""

import json
import re
import sys

import pytest

from astro_factory.cli.main import main
from astro_factory.json_shapes import json_shape
from tests.report.workspace import make_store, samples


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("reporting")
    make_store(root)
    return root


@pytest.fixture
def run(workspace, monkeypatch, capsys):
    """Run a command beside `spec.yaml`; returns its exit code and what it prints."""
    monkeypatch.chdir(workspace)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("ASTRO_STORE", "store")

    def command(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["astro-factory", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capsys.readouterr())

    return command


def in_shape(name, ended):
    """The JSON that a command printed, as documented."""
    assert ended[0] == 0
    return json_shape(name).validate_python(json.loads(ended[1]), strict=True)


def test_report(run, tmp_path):
    code, out, err = run("report", "spec.yaml", "-o", str(tmp_path / "r.html"))
    assert (code, err) == (0, "") and out.endswith("r.html: 0.1 MB, 10 of 10 stages\n")
    code, out, _ = run("report", "spec.yaml", "traces", "-o", str(tmp_path / "t.html"), "--json")
    found = in_shape("report --json", (code, out))
    assert found["stages"] == ["blank", "train", "trees", "traces"] and found["notes"] == []
    assert found["bytes"] == (tmp_path / "t.html").stat().st_size


def test_report_as_a_folder(run, tmp_path, golden):
    code, out, err = run("report", "spec.yaml", "--folder", "-o", str(tmp_path / "new/r"), "--json")
    found = in_shape("report --json", (code, out))
    files = [path for path in (tmp_path / "new/r").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"index.html", "samples_0_0.js", "trees_0_0.js"}
    assert (found["path"], found["notes"]) == (str(tmp_path / "new/r"), [])
    for args in (["-o", str(tmp_path / "new/r")], ["-o", str(tmp_path / "new/r/index.html"), "--folder"]):
        code, _, err = run("report", "spec.yaml", *args)
        assert code == 2 and err.startswith("E179")
        golden(err)


def test_report_of_nothing(run, tmp_path, golden):
    code, _, err = run("report", "spec.yaml", "--store", str(tmp_path / "empty"))
    assert code == 2 and err.startswith("E166")
    golden(err)


@pytest.mark.parametrize("stage", ["train", "trees", "traces", "astro_rl"])
def test_summary(run, golden, stage):
    """Everything but the head, which names a folder of the store and the sizes of files."""
    code, out, err = run("show", f"spec.yaml:{stage}")
    assert (code, err) == (0, "")
    head = re.compile(r"\S+ \(\w+\), key |/.*/outputs/| +[\d,]+ [\w.]+$")
    golden("\n".join(line.rstrip() for line in out.splitlines() if not head.match(line)))


def test_summary_of_an_evaluation_is_its_report(run):
    _, out, _ = run("show", "spec.yaml:report")
    assert "  samples  36\n" in out and "look closer: astro-factory show spec.yaml:report --all" in out
    assert out.count("\n  arm") == 1, "one table of the arms"
    _, out, _ = run("show", "spec.yaml:report", "--all")
    assert "significance of" in out and out.count("\n  arm") > 1


@pytest.mark.parametrize("columns", [60, 80])
def test_the_report_fits_the_terminal_in_one_table(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = run("show", "spec.yaml:report")
    table = out[out.index("\ntest: ") : out.index("look closer")]
    assert max(map(len, table.splitlines())) <= columns
    assert table.count("\n  arm") == 1 and "pass@1" in table and table.count("\n  pair") == 1


@pytest.mark.parametrize(
    ("stage", "conditions", "found"),
    [
        ("report", "arm=astro_rl,verdict=incorrect", [26, 27]),
        ("report", "solved_by=direct_sft,missed_by=astro_sft,arm=astro_sft,sample=0", [12, 16, 20]),
        ("traces", "problem=p1", [3, 4, 5]),
        ("trees", "solved=no", []),
        ("test", "problem!=p0", [1, 2, 3, 4, 5]),
        ("astro_rl", "step=20,reward>0", [2, 3]),
    ],
)
def test_rows_of_a_filter(run, stage, conditions, found):
    listed = in_shape("show --filter --json", run("show", f"spec.yaml:{stage}", "--filter", conditions, "--json"))
    assert [row["row"] for row in listed["rows"]] == found
    code, out, _ = run("show", f"spec.yaml:{stage}", "--filter", conditions)
    assert code == 0 and out.endswith(f"{len(found)} rows; --sample N prints one in full\n")


def test_one_row(run, golden):
    golden(run("show", "spec.yaml:report", "--sample", "12")[1])
    golden(run("show", "spec.yaml:traces", "--problem", "p2")[1])
    assert run("show", "spec.yaml:trees", "--sample", "0") == run("show", "spec.yaml:trees", "--tree", "p0")
    golden(run("show", "spec.yaml:astro_rl", "--sample", "3")[1])
    sample = in_shape("show --sample --json", run("show", "spec.yaml:report", "--sample", "12", "--json"))
    assert sample["content"]["arm"] == sample["row"]["arm"] == "astro_sft"
    problem = in_shape("show --problem --json", run("show", "spec.yaml:report", "--problem", "p1", "--json"))
    assert len(problem["rows"]) == 6


def test_trees_are_listed(run):
    _, out, _ = run("show", "spec.yaml:trees", "--tree")
    assert [line.split()[1] for line in out.splitlines()[1:5]] == ["p0", "p1", "p2", "p3"]


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["report", "--sample", "36"], "E167"),
        (["report", "--problem", "p9"], "E167"),
        (["astro_sft", "--filter", "step>3"], "E167"),
        (["traces", "--filter", "backtrack>3"], "E165"),
    ],
)
def test_mistake(run, golden, args, code):
    ended, out, err = run("show", f"spec.yaml:{args[0]}", *args[1:])
    assert (ended, out) == (2, "") and err.startswith(code)
    golden(err)


def test_what_a_model_wrote_does_not_steer_the_terminal(tmp_path, monkeypatch, capsys):
    make_store(tmp_path, list(samples({"direct_sft": ["\x1b[31mred\x07 [bold]x[/bold]"]})))
    monkeypatch.setenv("ASTRO_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("sys.argv", ["astro-factory", "show", f"{tmp_path}/spec.yaml:report", "--sample", "0"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit):
        main()
    out = capsys.readouterr().out
    assert "\\x1b[31mred\\x07 [bold]x[/bold]" in out and "\x1b" not in out


def test_preview(run, golden):
    code, out, err = run("preview", "spec.yaml", "traces", "astro_sft", "report")
    assert (code, err) == (0, "")
    golden("\n".join(line.rstrip() for line in out.splitlines()))
    found = in_shape("preview --json", run("preview", "spec.yaml", "--json"))["stages"]
    stages = ["trees", "traces", "direct", "astro_sft", "direct_sft", "astro_rl", "report"]
    assert [entry["stage"] for entry in found] == stages
    assert found[-1]["text"] == "numbers 4 10 3 target 17" and found[-1]["prompt_ids"] is None


def test_events_go_to_a_log(run, tmp_path):
    log = tmp_path / "logs/build.jsonl"
    setting = ("--set", "stages.traces.per_problem=4", "--store", "store")
    code, out, _ = run("build", "spec.yaml", "traces", *setting, "--log", str(log), "--quiet")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert code == 0 and "starts" not in out and out.startswith("small: ")
    assert next(event["event"] for event in events if event["stage"] == "traces") == "start"
    assert events[-1] | {"time": "", "seconds": 0} == {
        "time": "", "stage": "traces", "event": "end", "outcome": "ran", "reason": "", "seconds": 0
    }  # fmt: skip


def test_chat_wants_a_model(run, golden):
    code, out, err = run("chat", "spec.yaml:traces", "hello")
    assert (code, out) == (2, "") and err.startswith("E169")
    golden(err)


@pytest.mark.slow
def test_chat(tmp_path, monkeypatch, capsys):
    """Two models of the spec and a folder answer; equal seeds give equal responses."""
    from tests.report.workspace import built
    from tests.training.tiny import make_model

    make_store(tmp_path, make_model=make_model)
    folder = built(tmp_path).stages["direct_sft"].folder
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("ASTRO_STORE", str(tmp_path / "store"))
    shown = []
    spec = f"{tmp_path}/spec.yaml:astro_sft"
    for args in ((spec, "p0", "--compare", "direct_sft", "--samples", "2"), (spec, "p0"), (str(folder), "1 , 2")):
        monkeypatch.setattr(sys, "argv", ["astro-factory", "chat", *args, "--max-tokens", "12"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        shown.append(re.sub(r"^\[.*\n", "", capsys.readouterr().out))  # DeepSpeed logs to stdout when it is imported
    assert shown[0].startswith("numbers 4 10 3 target 17\n")
    assert len(re.findall(r"^(?:astro|direct)_sft: (?:incorrect|no_answer) ", shown[0], re.MULTILINE)) == 4
    first = shown[1].partition("\n")[2]
    assert first in shown[0] and shown[2].startswith("1 , 2\n")
