"""Other people's stages as hits: from stores elsewhere and from publications; a bad place costs only the saving."""

import json
import sys
from pathlib import Path

import fsspec
import pytest

from astro_factory.cli.main import main
from astro_factory.core.errors import UserError
from astro_factory.hub.publication_cache import PublishedFolder, PublishedRepository, open_cache
from astro_factory.plan import make_plan
from astro_factory.runtime import build
from astro_factory.spec import compile_spec
from astro_factory.stages import KINDS
from astro_factory.store import Store
from astro_factory.store.caches import Cache
from astro_factory.store.remotes import RemoteStore
from tests.runtime.bench import TEST_KINDS, Bench
from tests.store.test_fsck import flip, made

SPEC = """\
factory: 1
name: small
problems:
  test: {kind: countdown, count: 5, split: test}
stages:
  drill: {kind: practice, count: 20}
publish:
  data: {repo: "REPO", artifacts: [test, drill]}
"""


@pytest.fixture(autouse=True)
def memory():
    yield
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command; its code, its JSON, and what it said on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for name in ("ASTRO_STORE", "ASTRO_CACHE"):
        monkeypatch.delenv(name, raising=False)
    Path("spec.yaml").write_text(SPEC.replace("REPO", "file:out"))

    def command(*args: str):
        monkeypatch.setattr(sys, "argv", ["astro-factory", *args, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, json.loads(out.splitlines()[-1]) if out else None, err

    return command


def outcomes(found: dict) -> dict[str, str]:
    return {stage["name"]: stage["outcome"] for stage in found["stages"]}


BUILT = ("build", "spec.yaml", "--no-publish", "--store")
HERE, THERE = {"test": "import", "drill": "import"}, {"test": "ran", "drill": "ran"}


@pytest.mark.slow
@pytest.mark.parametrize("url", ["file:cache/deep", "memory://bucket/cache"])
def test_push_and_build_from_the_cache(run, url, monkeypatch):
    code, found, _ = run("push", "spec.yaml", url)
    assert code == 2 and found["errors"][0]["code"] == "E176"
    assert found["errors"][0]["cause"] == "nothing of spec.yaml is built in this store"
    run(*BUILT, "theirs")
    pushed = run("push", "spec.yaml", url, "--store", "theirs")[1]
    assert {name: pushed[name] for name in ("results", "new_results", "new_blobs")} == {
        "results": 2, "new_results": 2, "new_blobs": 2,
    }  # fmt: skip
    again = run("push", "spec.yaml", url, "--store", "theirs")[1]
    assert again == {"results": 2, "new_results": 0, "new_blobs": 0, "bytes": 0}
    plan = run("plan", "spec.yaml", "--store", "ours", "--cache", url)[1]["stages"]
    assert {row["name"]: row["reason"] for row in plan if row["status"] == "import"} == dict.fromkeys(HERE, f"in {url}")
    code, found, err = run(*BUILT, "ours", "--cache", url)
    assert (code, outcomes(found), err) == (0, HERE, "")
    assert {p.name for p in Path("ours/blobs").glob("*/*")} == {p.name for p in Path("theirs/blobs").glob("*/*")}
    monkeypatch.setenv("ASTRO_CACHE", f"{url} file:elsewhere")
    assert outcomes(run(*BUILT, "third")[1]) == HERE
    assert run("fsck", "--store", "ours")[0] == 0


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    for kind, module in TEST_KINDS.items():
        monkeypatch.setitem(KINDS["stages"], kind, module)
    return Bench(tmp_path / "bench")


def build_from(bench: Bench, *caches: RemoteStore, sets=()):
    plan = make_plan(compile_spec(bench.path, sets=sets), bench.store, caches=caches)
    return build(plan, bench.store, lambda *_: None)


def test_what_nobody_reads_comes_without_its_files(bench):
    """Of a chain whose end is there, only the end's files; then another end is asked for, and its inputs come."""
    table = "kind: light, do: [table]"
    bench.write(f"a: {{{table}}}\nb: {{{table}, reads: [a]}}\nc: {{{table}, reads: [b]}}")
    assert bench.build().ok
    remote = RemoteStore("memory://x")
    remote.push(bench.store, [bench.store.result(key) for key in bench.store.heads("bench").values()])
    theirs, bench.store = bench.store, Store(bench.folder / "ours")
    assert build_from(bench, remote).outcomes == dict.fromkeys("abc", "import")
    there = {path.name: path for path in (bench.store.root / "blobs").glob("*/*")}
    assert set(there) == {e["sha256"] for e in theirs.result(theirs.heads("bench")["c"]).outputs.values()}
    assert build_from(bench).outcomes == dict.fromkeys("abc", "hit"), "and the rest is not missed"
    assert build_from(bench, remote, sets=["stages.c.text=new"]).outcomes == {"a": "hit", "b": "import", "c": "ran"}


@pytest.mark.slow
def test_a_damaged_blob_is_refused_and_built_here_with_a_warning(run):
    run(*BUILT, "theirs")
    run("push", "spec.yaml", "file:cache", "--store", "theirs")
    blob = max(Path("cache/blobs").glob("*/*"), key=lambda path: path.stat().st_size)
    flip(blob)
    code, found, err = run(*BUILT, "ours", "--cache", "file:cache")
    assert code == 0 and sorted(outcomes(found).values()) == ["import", "ran"]
    assert err == (
        f"warning: blob {blob.name[:12]} of file:cache does not match its digest; the stage runs here instead\n"
    )
    assert run("fsck", "--store", "ours")[0] == 0
    blob.unlink()
    code, found, err = run(*BUILT, "third", "--cache", "file:cache")
    assert code == 0 and sorted(outcomes(found).values()) == ["import", "ran"] and err == "", "seen when planning"


def test_what_a_guard_says_of_a_file_that_it_cannot_give(tmp_path):
    told = []
    cache = Cache(RemoteStore("memory://x"), told.append)
    assert (
        str(cache.damaged("a" * 64))
        == "E174 blob aaaaaaaaaaaa of memory://x does not match its digest; build without this cache"
    )
    with pytest.raises(UserError, match="E175 blob bbbbbbbbbbbb of memory://x is missing; build again"):
        cache.fetch("b" * 64, tmp_path / "x")
    assert cache.failed_fetches == len(told) == 2


@pytest.mark.slow
def test_a_damaged_result_is_refused_and_built_here_with_a_warning(run):
    run(*BUILT, "theirs")
    run("push", "spec.yaml", "file:cache", "--store", "theirs")
    results = sorted(Path("cache/results").glob("*/*.json"))
    results[0].write_bytes(results[0].read_bytes().replace(b'"seconds": ', b'"seconds": 1'))
    results[1].write_bytes(results[0].read_bytes())
    code, found, err = run(*BUILT, "ours", "--cache", "file:cache")
    assert code == 0 and outcomes(found) == THERE
    assert all(
        f"warning: result {path.stem[:12]} of file:cache is damaged (it was changed after it was written)" in err
        for path in results
    )


class Flaky(RemoteStore):
    """Answers so many questions, then none."""

    def __init__(self, url, answers):
        super().__init__(url)
        self.answers = answers

    def __getattribute__(self, name):
        if name in ("result", "has_blobs", "fetch"):
            self.answers -= 1
            if self.answers < 0:
                raise ConnectionError("no route to host\nand more")
        return super().__getattribute__(name)


@pytest.mark.slow
def test_a_place_that_goes_away_at_any_moment_fails_no_build(run, monkeypatch):
    run(*BUILT, "theirs")
    run("push", "spec.yaml", "memory://x", "--store", "theirs")
    seen = set()
    for answers in range(7):
        monkeypatch.setattr("astro_factory.hub.publication_cache.RemoteStore", lambda url, n=answers: Flaky(url, n))
        code, found, err = run(*BUILT, f"ours-{answers}", "--cache", "memory://x", "--jobs", "1")
        assert code == 0 and set(outcomes(found).values()) <= {"ran", "import"}
        assert (
            err == "warning: memory://x cannot be used (no route to host); the build continues without it\n"
            or answers == 6
        )
        seen.add(tuple(sorted(outcomes(found).values())))
        assert run("fsck", "--store", f"ours-{answers}")[0] == 0
    assert seen == {("ran", "ran"), ("import", "ran"), ("import", "import")}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gopher:hole", "E171 'gopher:hole' is not the address of a store; use file:PATH, s3://BUCKET/PATH, hf://"),
        ("cache", "E171 'cache' is not the address of a store"),
        ("file:", "E171 'file:' is not the address of a store"),
        ("hub:name", "E714 'name' is not a repository name"),
    ],
)
def test_a_url_that_names_nothing(run, url, message):
    with pytest.raises(UserError) as caught:
        open_cache(url)
    assert str(caught.value).startswith(message)
    code, found, _ = run("build", "spec.yaml", "--cache", url)
    assert code == 2 and found["errors"][0]["code"] == message[:4]


@pytest.mark.parametrize("url", ["file:empty", "file:nowhere", "memory://nothing"])
def test_a_place_without_a_store_is_noticed_when_planning(run, url):
    Path("empty/other").mkdir(parents=True)
    code, _, err = run("plan", "spec.yaml", "--store", "ours", "--cache", url)
    assert code == 0
    assert err == f"warning: {url} cannot be used (no store was pushed there); the build continues without it\n"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError) as caught:
        RemoteStore("s3://bucket/x")
    assert str(caught.value) == (
        "E172 s3://bucket/x needs a package that is not installed: Install s3fs to access S3; "
        "install it with `pip install 'astro-factory[s3]'`"
    )


def test_a_place_that_cannot_be_written(run):
    run(*BUILT, "theirs")
    Path("taken").write_text("a file")
    code, found, _ = run("push", "spec.yaml", "file:taken", "--store", "theirs")
    assert code == 2 and found["errors"][0]["code"] == "E173"
    assert found["errors"][0]["cause"].startswith("cannot write to file:taken: ")


def test_a_push_that_is_cut_leaves_no_result_without_its_blobs(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    results = [made(store, 1), made(store, 2, {"more": b"more"})]
    for step in range(12):
        place, calls = RemoteStore(f"file:{tmp_path}/cache-{step}"), []

        def cut(path, source, real=place._write_one, calls=calls, step=step):
            calls.append(path)
            if len(calls) > step:
                raise OSError("the line is cut")
            real(path, source)

        monkeypatch.setattr(place, "_write_one", cut)
        if step < 6:
            with pytest.raises(UserError, match="E173"):
                place.push(store, results)
        else:
            place.push(store, results)
        reader = RemoteStore(f"file:{tmp_path}/cache-{step}")
        assert all(reader.has_blobs(found) for result in results if (found := reader.result(result.key)))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["file:out", "hub:org/data"])
def test_a_publication_is_a_cache(run, hub, tmp_path, place, monkeypatch):
    for name, value in hub.environment(tmp_path / "home").items():  # stages run in processes of their own
        monkeypatch.setenv(name, value)
    repo = "file:out" if place.startswith("file:") else "org/data"
    Path("spec.yaml").write_text(SPEC.replace("REPO", repo))
    code, found, _ = run("build", "spec.yaml", "--store", "theirs")
    assert code == 0, found["failures"]
    code, found, err = run(*BUILT, "ours", "--cache", place)
    assert (code, outcomes(found), err) == (0, HERE, "")
    assert {p.name for p in Path("ours/blobs").glob("*/*")} <= {p.name for p in Path("theirs/blobs").glob("*/*")}
    assert run("show", "spec.yaml:drill", "--store", "ours")[1]["provenance"] == {"source": place}
    changed = run(*BUILT, "ours", "--cache", place, "--set", "stages.drill.count=21")[1]
    assert outcomes(changed) == {"test": "hit", "drill": "ran"}


@pytest.mark.slow
def test_a_publication_that_was_tampered_with(run, hub):
    run("build", "spec.yaml", "--store", "theirs")
    table = Path("out/data/drill/dialogues.parquet")
    table.write_bytes(table.read_bytes()[::-1])
    code, found, err = run(*BUILT, "ours", "--cache", "file:out")
    assert code == 0 and outcomes(found) == {"test": "import", "drill": "ran"} and "does not match its digest" in err
    record = next(path for path in Path("out/astro/records").glob("*") if "practice" in path.read_text())
    record.write_text(record.read_text().replace('"count": 20', '"count": 30'))
    code, found, err = run(*BUILT, "third", "--cache", "file:out")
    assert code == 0 and outcomes(found) == {"test": "import", "drill": "ran"}
    assert f"warning: result {record.stem[:12]} of file:out is damaged (it differs from what was published)" in err


@pytest.mark.slow
def test_places_on_the_hub_that_do_not_exist(run, hub, naps):
    hub.create("org/plain", **{"a.csv": b"a"})
    for place, cause in (
        ("hub:org/nothing", "there is no repository org/nothing on the Hub"),
        ("hub:org/plain", "org/plain has no astro/manifest.json"),
        ("hub:org/plain@v9", "org/plain has no such revision or file"),
    ):
        code, found, err = run(*BUILT, f"ours-{cause[:3]}-{len(place)}", "--cache", place)
        assert code == 0 and outcomes(found) == THERE
        assert err.startswith(f"warning: {place} cannot be used ({cause}") and len(err.splitlines()) == 1
    hub.fail("GET", "/api/", status=503, times=99)
    code, found, err = run(*BUILT, "last", "--cache", "hub:org/plain")
    assert code == 0 and outcomes(found) == THERE and "the Hub is not available for org/plain" in err


def test_a_store_in_a_repository_of_the_hub(run, hub):
    repo = hub.create("org/cache")
    run(*BUILT, "theirs")
    assert run("push", "spec.yaml", "hf://datasets/org/cache/store", "--store", "theirs")[1]["new_results"] == 2
    assert len(repo.commits) == 3, "one for the blobs, then one for the results"
    assert run("push", "spec.yaml", "hf://datasets/org/cache/store", "--store", "theirs")[1]["new_results"] == 0
    code, found, err = run(*BUILT, "ours", "--cache", "hf://datasets/org/cache/store")
    assert (code, outcomes(found), err) == (0, HERE, "")


def test_a_store_in_a_bucket_of_the_hub(run, hub, monkeypatch):
    """Reading is what the real client does; of writing, the transfer through Xet is replaced."""

    def batch(self, bucket_id, *, add, **_):
        hub.buckets[bucket_id] |= {path: Path(source).read_bytes() for source, path in add}

    monkeypatch.setattr("huggingface_hub.HfApi.batch_bucket_files", batch)
    hub.buckets["org/cache"] = {}
    run(*BUILT, "theirs")
    assert run("push", "spec.yaml", "hf://buckets/org/cache/store", "--store", "theirs")[1]["new_results"] == 2
    assert all(path.startswith(("store/blobs/", "store/results/")) for path in hub.buckets["org/cache"])
    assert run("push", "spec.yaml", "hf://buckets/org/cache/store", "--store", "theirs")[1]["new_results"] == 0
    code, found, err = run(*BUILT, "ours", "--cache", "hf://buckets/org/cache/store")
    assert (code, outcomes(found), err) == (0, HERE, "")
    code, found, err = run(*BUILT, "third", "--cache", "hf://buckets/org/none/store")
    assert code == 0 and outcomes(found) == THERE


def test_kinds_of_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pub/astro").mkdir(parents=True)
    Path("pub/astro/manifest.json").write_text("{}")
    assert isinstance(open_cache("file:pub"), PublishedFolder)
    assert isinstance(open_cache(f"file://{tmp_path}/pub"), PublishedFolder)
    assert isinstance(open_cache("file:other"), RemoteStore) and isinstance(open_cache("hub:a/b"), PublishedRepository)
    warned = []
    assert Cache(open_cache("file:pub"), warned.append).result("a" * 64) is None
    assert warned == [
        "file:pub cannot be used (astro/manifest.json of file:pub cannot be read); the build continues without it"
    ]
