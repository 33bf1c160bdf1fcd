"""The publish stage: from artifacts to a repository that `datasets` and `astro-factory pull` read back."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from astro_factory.core.context import StageContext
from astro_factory.core.errors import Place, UserError
from astro_factory.core.graph import GraphNode
from astro_factory.core.tables import read_table
from astro_factory.hub.pull import pull
from astro_factory.hub.withdrawal import withdraw
from astro_factory.stages import publish
from astro_factory.stages.models import hub as hub_model
from astro_factory.stages.problems import hub as hub_problems
from tests.hub.artifacts import make_data, make_provenance
from tests.hub.server import local_hub
from tests.hub.test_cards import make_weights

TABLES = {
    "problems": "problems.parquet",
    "practice": "dialogues.parquet",
    "trees": "trees.parquet",
    "traces": "traces.parquet",
    "report": "samples.parquet",
}


@pytest.fixture
def hub(monkeypatch):
    with local_hub(monkeypatch) as server:
        yield server


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """The build's working folder, with artifacts in another one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    make_data(tmp_path / "store")
    make_weights(tmp_path / "store/rl")
    make_provenance(tmp_path / "store/provenance")
    return tmp_path


def run(workspace: Path, provenance: str = "provenance", **fields) -> dict:
    """Run the stage on what its config names; returns publication.json."""
    config = publish.Config(**fields)
    names = config.artifacts or (config.artifact,)
    inputs = {name: workspace / "store" / name for name in names}
    if config.report:
        inputs[config.report] = workspace / "store" / config.report
    inputs[publish.PROVENANCE_INPUT] = workspace / "store" / provenance
    out = workspace / f"out-{len(list(workspace.iterdir()))}"
    out.mkdir()
    events = SimpleNamespace(log=lambda text: None)
    publish.run(StageContext("publish.x", inputs, dict.fromkeys(names, "00"), out, out, None, events), config)
    return json.loads((out / "publication.json").read_text())


LOAD = """
import json, sys
from datasets import load_dataset
for name in json.loads(sys.argv[2]):
    print(json.dumps(load_dataset(sys.argv[1], name, split="train").to_list()))
"""


def load_dataset(source: str, names: list[str], environment: dict[str, str]) -> list[list[dict]]:
    """What `datasets` reads, in a process of its own that has never seen us."""
    command = [sys.executable, "-c", LOAD, source, json.dumps(names)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", **environment}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_publish_to_the_hub_and_back(hub, workspace):
    fields = {"repo": "org/astro-traces", "artifacts": tuple(TABLES), "licence": "mit"}
    first = run(workspace, **fields)
    repo = hub.repo("org/astro-traces")
    assert first["destination"] == "org/astro-traces" and first["commit"] == repo.head.oid and repo.private
    assert set(first["files"]) == set(repo.head.files) - {".gitattributes"}

    assert run(workspace, **fields) == first, "the second run gives the same, and commits nothing"
    assert len(repo.commits) == 2

    loaded = load_dataset("org/astro-traces", list(TABLES), hub.environment(workspace / "hf"))
    for (name, table), rows in zip(TABLES.items(), loaded, strict=True):
        assert rows == read_table(workspace / "store" / name / table), name

    pull("org/astro-traces", workspace / "pulled")
    assert (workspace / "pulled/astro/spec.yaml").read_text().startswith("factory: 1")
    assert read_table(workspace / "pulled/data/traces/traces.parquet") == loaded[3]


def test_publish_to_a_folder_and_back(workspace):
    fields = {"repo": "file:out/astro-traces", "artifacts": tuple(TABLES)}
    first = run(workspace, **fields)
    folder = workspace / "work/out/astro-traces"
    assert first["destination"] == "file:out/astro-traces" and str(workspace) not in json.dumps(first)
    assert sorted(first["files"]) == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert run(workspace, **fields) == first

    environment = {"HF_HOME": str(workspace / "hf"), "HF_HUB_OFFLINE": "1"}
    loaded = load_dataset(str(folder), ["trees", "traces"], environment)
    assert loaded == [read_table(workspace / "store" / name / TABLES[name]) for name in ("trees", "traces")]

    pull("file:out/astro-traces", workspace / "pulled")
    assert run(workspace, **{**fields, "repo": f"file:{workspace}/pulled"})["files"].keys() == first["files"].keys()


def test_the_same_layout_in_a_folder_and_on_the_hub(hub, workspace):
    fields = {"artifacts": ("trees", "traces"), "licence": "cc-by-4.0"}
    here, there = run(workspace, repo="file:out", **fields), run(workspace, repo="org/out", **fields)
    cards = {"README.md", "croissant.json", "astro/manifest.json"}  # they name their own place
    assert here["files"].keys() == there["files"].keys()
    assert {p: d for p, d in here["files"].items() if p not in cards} == {
        p: d for p, d in there["files"].items() if p not in cards
    }


def test_publish_a_model(hub, workspace):
    publication = run(workspace, repo="org/tiny-astro", artifact="rl", licence="apache-2.0")
    repo = hub.repo("org/tiny-astro", "model")
    assert {"model.safetensors", "config.json", "README.md", "astro/spec.yaml"} <= set(publication["files"])
    assert repo.head.oid == publication["commit"] and "NOTICE" not in publication["files"]


def make_report(folder: Path, *arms: str) -> Path:
    """The report of some arms on one problem source."""
    score = {"pass@1[avg-of-4]": {"value": 0.5, "low": 0.25, "high": 0.75}}
    group = {"problems": 9, "clusters": 9, "arms": dict.fromkeys(arms, score), "paired": [], "equal_tokens": []}
    settings = {"problems": ["test"], "samples": 4, "temperature": 1.0, "max_tokens": 64, "verifiers": ["countdown"]}
    settings |= {"seed": 0, "cluster": "", "confidence": 0.95, "resamples": 1000}
    rest = {"suite": "puzzles", "levels": {}, "sources": {}, "outcomes": {}, "correct_by_backtracks": {}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(group | rest | {"settings": settings}))
    return folder


def test_publish_a_model_with_its_results(workspace):
    make_report(workspace / "store/report", "base", "rl")
    fields = {"repo": "file:out/tiny", "artifact": "rl", "report": "report"}
    first = run(workspace, **fields)
    card = (workspace / "work/out/tiny/README.md").read_text()
    assert "| **rl** | 50.0 [25.0, 75.0] |" in card and "model-index:" in card
    assert "](pictures/test.svg)" in card and "pictures/test.svg" in first["files"]
    assert "data/report" not in str(first["files"]), "the report is on the card, not in the repository"
    assert run(workspace, **fields) == first


def test_report_without_the_model(workspace, golden):
    make_report(workspace / "store/report", "base", "rl_two")
    with pytest.raises(UserError, match="E725") as caught:
        run(workspace, repo="file:out/tiny", artifact="rl", report="report")
    golden(str(caught.value))
    assert not (workspace / "work/out").exists()


@pytest.mark.parametrize("kind", ["file:", "org/"])
def test_a_publication_supersedes_another(hub, workspace, kind):
    """Each place gets one commit; a second run of either changes nothing."""
    run(workspace, repo=f"{kind}old", artifacts=("traces",))
    fields = {"repo": f"{kind}new", "supersedes": f"{kind}old", "artifacts": ("traces",)}
    first = run(workspace, **fields)
    files = {
        name: Path(name, "README.md").read_text()
        if kind == "file:"
        else hub.repo(f"org/{name}").head.files["README.md"].data.decode()
        for name in ("old", "new")
    }
    link = {name: f"[org/{name}](https://huggingface.co/datasets/org/{name})" for name in files}
    shown = {name: f"`{name}`" if kind == "file:" else link[name] for name in files}
    assert f"\n\nIt replaces {shown['old']}.\n" in files["new"]
    assert f"> **Superseded.** Use {shown['new']} instead.\n" in files["old"]
    assert run(workspace, **fields) == first
    run(workspace, repo=f"{kind}old", artifacts=("traces",))
    if kind == "org/":
        assert [len(hub.repo(f"org/{name}").commits) for name in files] == [3, 2]


def test_what_is_superseded_has_to_exist(hub, workspace):
    def faults(place: str, online: bool = True) -> list[str]:
        config = publish.Config(repo="org/new", supersedes=place, artifacts=("traces",))
        return [found.code for found in publish.preflight(config, [], online)]

    hub.create("org/plain")
    assert faults("file:nothing") == ["E717"] and faults("org/plain") == ["E717"] and faults("org/none") == ["E717"]
    assert faults("other/traces") == ["E702"] and faults("org/none", online=False) == []


def test_publish_a_llama_with_its_notice(workspace):
    make_provenance(workspace / "store/llama", base="meta-llama/Llama-3.1-8B-Instruct")
    fields = {"repo": "file:out/llama-x", "artifact": "rl", "licence": "llama3.1"}
    run(workspace, provenance="llama", **fields)
    folder = workspace / "work/out/llama-x"
    assert (folder / "NOTICE").read_text().startswith("Llama 3.1 is licensed under")
    assert "Built with Llama" in (folder / "README.md").read_text()


def test_llama_under_another_name_is_not_published(hub, workspace):
    make_provenance(workspace / "store/llama", base="meta-llama/Llama-3.1-8B-Instruct")
    with pytest.raises(UserError, match=r"E721 .*\nE722 "):
        run(workspace, provenance="llama", repo="org/tiny-astro", artifact="rl", licence="mit")
    assert not hub.requests


def test_pointer_to_a_model_is_not_published(workspace):
    (workspace / "store/base").mkdir()
    (workspace / "store/base/hub.json").write_text("{}")
    with pytest.raises(UserError, match=r"E713 .*'base'"):
        run(workspace, repo="file:out/x", artifact="base")
    assert not (workspace / "work/out").exists()


def test_intact_says_whether_the_folder_is_still_there(workspace):
    config = publish.Config(repo="file:out/x", artifacts=("traces",))
    run(workspace, repo="file:out/x", artifacts=("traces",))
    (out,) = workspace.glob("out-*")
    assert publish.intact(config, out)
    (workspace / "work/out/x/README.md").write_text("changed by hand")
    assert not publish.intact(config, out)
    withdraw("file:out/x", "wrong")
    assert publish.intact(config, out), "what was withdrawn stays as it is"
    assert publish.intact(publish.Config(repo="org/x", artifacts=("traces",)), out)


FAULTS = [
    ({"repo": "org"}, "'org' is not a repository name: use org/name"),
    ({"repo": "file:."}, "'file:.' names no folder of its own, such as file:out/traces"),
    ({"repo": "file:"}, "names no folder of its own"),
    ({"licence": "Apache"}, "'Apache' is not a licence identifier of the Hub; did you mean"),
    ({"artifact": "astro_rl"}, "give either `artifacts` (data) or `artifact` (one model)"),
    ({"artifacts": ()}, "give either `artifacts` (data) or `artifact` (one model)"),
    ({"artifacts": ("a", "a")}, "`artifacts` names an artifact twice"),
    ({"artifacts": ("a b",)}, "'a b' cannot name a table: `datasets` takes letters, digits and _ . -"),
    ({"message": ""}, "at least 1 character"),
    ({"supersedes": "org"}, "'org' is not a repository name"),
    ({"supersedes": "org/x"}, "`supersedes` names another place than `repo`"),
    ({"report": "report"}, "`report` belongs to a model; list a report to publish in `artifacts`"),
    ({"benchmark_tasks": {"a": "b"}}, "`benchmark_tasks` needs the `report` that has the results"),
]


@pytest.mark.parametrize(("fields", "text"), FAULTS)
def test_config_faults(fields, text):
    with pytest.raises(ValidationError) as caught:
        publish.Config(**{"repo": "org/x", "artifacts": ("traces",), **fields})
    assert text in str(caught.value)


def upstream() -> list[GraphNode]:
    base = hub_model.Config(kind="hub", repo="meta-llama/Llama-3.1-8B")
    problems = hub_problems.Config.model_construct(kind="hub", repo="org/math")
    rest = {"output": None, "version": 1, "heavy": False, "reads": {}, "files": {}, "place": Place("x.yaml")}
    return [
        GraphNode("base", "models", "hub", hub_model.__name__, base, **rest),
        GraphNode("train", "problems", "hub", hub_problems.__name__, problems, **rest),
    ]


def test_other_arms_of_the_report_set_no_terms():
    """The published model started from a model of ours; a Llama was only evaluated beside it."""
    llama, problems = upstream()
    shared = {"version": 1, "heavy": False, "files": {}, "place": Place("x.yaml"), "output": None}
    model = GraphNode("rl", "stages", "x", "x", problems.config, reads={"train": "train"}, **shared)
    reads = {"base": "base", "rl": "rl"}
    config = SimpleNamespace(arms=["base", "rl"], model_dump=dict)
    report = GraphNode("report", "stages", "evaluate", "x", config, reads=reads, **shared)
    good = publish.Config(repo="org/tiny", artifact="rl", report="report", licence="mit")
    assert publish.preflight(good, [llama, model, report, problems], online=False) == []
    base = publish.Config(repo="org/tiny", artifact="base", report="report", licence="mit")
    assert [d.code for d in publish.preflight(base, [llama, model, report, problems], online=False)] == ["E721", "E722"]
    wrong = publish.Config(repo="org/tiny", artifact="train", report="report")
    assert [d.code for d in publish.preflight(wrong, [llama, report, model, problems], online=False)] == ["E725"]


def test_preflight_offline_asks_nobody(hub):
    model = publish.Config(repo="org/tiny", artifact="rl", licence="mit")
    assert [d.code for d in publish.preflight(model, upstream(), online=False)] == ["E721", "E722"]
    data = publish.Config(repo="org/traces", artifacts=("traces",))
    assert publish.preflight(data, upstream(), online=False) == [] and hub.requests == []
    assert publish.preflight(publish.Config(repo="file:out/x", artifact="rl"), upstream(), online=True) == []


def test_preflight_online_asks_for_rights_gates_and_licences(hub):
    hub.create("meta-llama/Llama-3.1-8B", "model")
    hub.create("org/math", **{"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"})
    data = publish.Config(repo="other/traces", artifacts=("traces",), licence="mit")
    assert [d.code for d in publish.preflight(data, upstream(), online=True)] == ["E702", "E724"]
    good = publish.Config(repo="org/Llama-traces", artifact="rl", licence="llama3.1")
    assert publish.preflight(good, upstream(), online=True) == []


def test_stage_loads_no_heavy_library():
    code = (
        "import sys; from astro_factory.stages import publish; import astro_factory.hub.pull, astro_factory.hub.cards\n"
        "assert not {'torch', 'transformers', 'datasets', 'pyarrow', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
