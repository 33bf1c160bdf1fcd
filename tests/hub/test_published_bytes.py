"""What a publication reveals about its publisher: nothing but the artifacts and what made them."""

import getpass
import json
import socket
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from astro_factory.hub.pull import pull
from astro_factory.plan import make_plan
from astro_factory.runtime import build
from astro_factory.spec import compile_spec
from astro_factory.store import Store
from tests.report.test_page import data_in

SPEC = """\
factory: 1
name: small
params: {password: hunter2-in-params}
engines:
  unused: {kind: openai, base_urls: ["http://gpu-7.internal:8000/v1"], model: secret-model, max_model_len: 64,
           api_key_env: MY_COMPANY_KEY}
search_policies:
  unused: {kind: best_of_n, n: 2}
templates:
  unused: reflection/terse.jinja
problems:
  test: {kind: countdown, count: 5, split: test}
  own: {kind: file, path: PLACE/own.jsonl}
  unused_problems: {kind: file, path: PLACE/own.jsonl}
stages:
  drill: {kind: practice, count: 20}
  unused_drill: {kind: practice, count: 21}
publish:
  data: {repo: "file:PLACE/out", artifacts: [test, own, drill]}
  unused_data: {repo: secret-org/unused, artifacts: [unused_drill]}
"""
SECRETS = ["hunter2", "internal", "secret", "MY_COMPANY_KEY", "terse.jinja", "unused"]


def decoded(folder: Path) -> dict[str, str]:
    """Every published file as text: raw, and Parquet with its schema, metadata and rows."""
    texts = {}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        texts[path.relative_to(folder).as_posix()] = path.read_bytes().decode("utf-8", "replace")
        if path.name == "report.html":
            texts["report.html decoded"] = str(data_in(path.read_text(encoding="utf-8")))
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            texts[f"{path.name} decoded"] = f"{table.schema}\n{pq.read_metadata(path)}\n{table.to_pylist()}"
    return texts


def leaks(folder: Path, words: list[str]) -> list[str]:
    return [f"{word!r} in {name}" for name, text in decoded(folder).items() for word in words if word in text]


@pytest.fixture
def published(tmp_path) -> Path:
    place = tmp_path / "home-of-somebody"
    place.mkdir()
    (place / "own.jsonl").write_text(json.dumps({"id": "1", "question": "1 + 1?", "answer": "2"}) + "\n")
    (place / "spec.yaml").write_text(SPEC.replace("PLACE", str(place)))
    store = Store(place / "store")
    graph = compile_spec(place / "spec.yaml")
    plan = make_plan(graph, store, targets=["publish.data"])
    done = build(plan, store, lambda *_: None)
    assert done.ok, done.failures
    return place / "out"


def test_a_publication_holds_only_what_its_reader_needs(published):
    places = ["home-of-somebody", str(published.parents[1]), f"{Path.home()}/", str(Path.cwd())]
    assert leaks(published, [*SECRETS, *places]) == []
    # a short name may occur by chance
    assert leaks(published, [name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 5]) == []


def test_the_published_spec_compiles_to_the_same_stages(published, tmp_path):
    spec = yaml.safe_load((published / "astro/spec.yaml").read_text())
    assert sorted(spec) == ["factory", "name", "problems", "publish", "stages"]
    assert spec["problems"]["own"]["path"] == "files/own.jsonl" and spec["publish"]["data"]["repo"] == "file:out"
    store = Store(tmp_path / "elsewhere")
    keys = {p.key for p in make_plan(compile_spec(published / "astro/spec.yaml"), store).nodes.values() if p.key}
    assert {path.stem for path in (published / "astro/records").glob("*.json")} <= keys


RECIPE = """\
factory: 1
name: recipe
problems:
  own: {kind: file, path: PLACE/rows/own.jsonl}
  same_name: {kind: file, path: other/own.jsonl}
  kept: {kind: file, path: kept.jsonl, redistribute: false}
stages:
  drill: {kind: practice, count: 20}
publish:
  data: {repo: "file:PLACE/out", artifacts: [own, same_name, kept, drill]}
"""


def test_the_files_that_a_spec_reads_travel_with_it(tmp_path):
    """From the publication alone, every stage has the key of the publisher's; what a licence forbids is named."""
    place = tmp_path / "home"
    for name in ("rows", "other"):
        (place / name).mkdir(parents=True)
    for number, name in enumerate(("rows/own", "other/own", "kept"), start=1):
        (place / f"{name}.jsonl").write_text(json.dumps({"question": f"{number} + 1?", "answer": f"{number + 1}"}))
    (place / "spec.yaml").write_text(RECIPE.replace("PLACE", str(place)))
    graph, store = compile_spec(place / "spec.yaml"), Store(place / "store")
    done = build(make_plan(graph, store, targets=["publish.data"]), store, lambda *_: None)
    assert done.ok, done.failures
    astro = place / "out/astro"
    files = sorted(path.name for path in (astro / "files").iterdir())
    assert "absent.json" in files and "own.jsonl" in files and "kept.jsonl" not in files and len(files) == 3
    assert "may not be redistributed" in (place / "out/README.md").read_text()
    assert leaks(place / "out", [str(place)]) == []
    pulled = tmp_path / "pulled"
    pull(f"file:{place / 'out'}", pulled)
    (pulled / "astro/files/kept.jsonl").write_bytes((place / "kept.jsonl").read_bytes())
    plan = make_plan(compile_spec(pulled / "astro/spec.yaml"), Store(tmp_path / "elsewhere"))
    keys = {item.key for item in plan.nodes.values() if item.key}
    assert {path.stem for path in (astro / "records").glob("*.json")} <= keys


def test_a_custom_template_travels(tmp_path):
    place = tmp_path / "home"
    (place / "templates/reflection").mkdir(parents=True)
    (place / "templates/reflection/mine.jinja").write_text("{% block wrong %}No .{% endblock %}")
    (place / "spec.yaml").write_text(
        "factory: 1\nname: t\ntemplates: {mine: reflection/mine.jinja}\n"
        f"models: {{blank: {{kind: init, vocabulary: {{words: [a], word_sources: [mine]}}}}}}\n"
        f"publish: {{model: {{repo: 'file:{place}/out', artifact: blank}}}}\n"
    )
    graph, store = compile_spec(place / "spec.yaml"), Store(place / "store")
    done = build(make_plan(graph, store, targets=["publish.model"]), store, lambda *_: None)
    assert done.ok, done.failures
    assert (place / "out/astro/templates/reflection/mine.jinja").read_text().startswith("{% block wrong")
    moved = compile_spec(place / "out/astro/spec.yaml")
    plan = make_plan(moved, Store(tmp_path / "elsewhere"))
    assert plan.nodes["blank"].key == done.results["blank"].key
