"""What a publication reveals about its publisher: nothing but the artifacts and what made them."""

import getpass
import json
import socket
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from astro_factory.plan import make_plan
from astro_factory.runtime import build
from astro_factory.spec import compile_spec
from astro_factory.store import Store

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
    assert spec["problems"]["own"]["path"] == "own.jsonl" and spec["publish"]["data"]["repo"] == "file:out"
    (published / "astro/own.jsonl").write_bytes((published.parent / "own.jsonl").read_bytes())
    store = Store(tmp_path / "elsewhere")
    keys = {p.key for p in make_plan(compile_spec(published / "astro/spec.yaml"), store).nodes.values() if p.key}
    assert {path.stem for path in (published / "astro/records").glob("*.json")} <= keys
