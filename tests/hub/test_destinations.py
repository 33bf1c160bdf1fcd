"""Publishing to a folder and to the Hub: one step, nothing twice, and every failure that uploads are known for."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from astro_factory.core.errors import UserError
from astro_factory.hub.destinations import FileDestination, HubDestination, destination
from astro_factory.hub.layout import MANIFEST, Payload, seal
from astro_factory.hub.places import invalid_name
from tests.hub.server import READER, STRANGER, Stored

REPO = HubDestination("org/traces", "dataset", private=True)


@pytest.fixture
def sealed(tmp_path):
    """Makes the files of a publication: a small text, a table kept in LFS, provenance, manifest."""
    provenance = tmp_path / "provenance"
    (provenance / "records").mkdir(parents=True)
    (provenance / "spec.yaml").write_text("name: tiny\n")
    (provenance / "records/0a.json").write_text("{}\n")

    def make(table: bytes = b"rows", **more: bytes) -> dict[str, Payload]:
        path = tmp_path / "traces.parquet"
        path.write_bytes(table)
        card = Payload.of(b"---\nlicense: mit\n---\n# card\n")
        files = {"README.md": card, "data/t/traces.parquet": Payload.of(path)}
        more = {f"data/t/{name}": Payload.of(data) for name, data in more.items()}
        return seal(files | more, provenance, {"t": "00"})

    return make


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- folders ---------------------------------------------------------------------------------------------------------


def test_folder_holds_what_was_published(sealed, tmp_path):
    target = FileDestination(tmp_path / "out" / "traces")
    files = sealed()
    commit = target.publish(files, "message")
    assert contents(target.folder) == {path: file.read() for path, file in files.items()}
    before = {path: path.stat().st_mtime_ns for path in target.folder.rglob("*")}
    assert target.publish(sealed(), "another message") == commit
    assert {path: path.stat().st_mtime_ns for path in target.folder.rglob("*")} == before
    assert [path.name for path in target.folder.parent.iterdir()] == ["traces"], "no temporary folder is left"


def test_folder_is_replaced_but_foreign_files_stay(sealed, tmp_path):
    target = FileDestination(tmp_path / "traces")
    first = target.publish(sealed(extra=b"goes away"), "")
    (target.folder / "LICENSE").write_text("by hand")
    assert target.publish(sealed(table=b"new rows"), "") != first
    assert set(contents(target.folder)) == {*sealed(), "LICENSE"}
    assert (target.folder / "data/t/traces.parquet").read_bytes() == b"new rows"


def test_damaged_file_in_a_folder_is_written_again(sealed, tmp_path):
    target = FileDestination(tmp_path / "traces")
    commit = target.publish(sealed(), "")
    (target.folder / "data/t/traces.parquet").write_bytes(b"rowt")
    assert not target.holds({path: file.sha256 for path, file in sealed().items()})
    assert target.publish(sealed(), "") == commit
    assert (target.folder / "data/t/traces.parquet").read_bytes() == b"rows"


def test_folder_of_something_else_is_not_touched(sealed, tmp_path, golden):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("years of work")
    with pytest.raises(UserError, match="E708") as caught:
        FileDestination(tmp_path / "thesis").publish(sealed(), "")
    golden(str(caught.value))
    assert contents(tmp_path / "thesis") == {"chapter.tex": b"years of work"}
    with pytest.raises(UserError, match="E708"):
        FileDestination(tmp_path / "thesis/chapter.tex").publish(sealed(), "")


def test_empty_folder_may_be_filled(sealed, tmp_path):
    (tmp_path / "empty").mkdir()
    FileDestination(tmp_path / "empty").publish(sealed(), "")
    assert MANIFEST in contents(tmp_path / "empty")


def test_folder_that_cannot_be_written(sealed, tmp_path, golden):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="E709") as caught:
        FileDestination(tmp_path / "file" / "traces").publish(sealed(), "")
    golden(str(caught.value))


def test_failure_while_writing_leaves_the_old_publication(sealed, tmp_path):
    target = FileDestination(tmp_path / "traces")
    target.publish(sealed(), "")
    before = contents(target.folder)

    def full(payload, path):
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left on device"):
        target.write(sealed(table=b"new"), place=full)
    assert contents(target.folder) == before


# -- the Hub ---------------------------------------------------------------------------------------------------------


def test_hub_gets_one_commit_and_is_private(hub, sealed):
    files = sealed()
    commit = REPO.publish(files, "Publish traces")
    repo = hub.repo("org/traces")
    assert [c.message for c in repo.commits] == ["initial commit", "Publish traces"]
    assert repo.private and repo.head.oid == commit and repo.head.parent == repo.commits[0].oid
    assert {p: f.data for p, f in repo.head.files.items() if p != ".gitattributes"} == {
        p: f.read() for p, f in files.items()
    }
    assert repo.head.files["data/t/traces.parquet"].lfs and not repo.head.files["README.md"].lfs


def test_second_run_does_nothing(hub, sealed):
    commit = REPO.publish(sealed(), "first")
    seen = len(hub.requests)
    assert REPO.publish(sealed(), "second") == commit
    assert len(hub.repo("org/traces").commits) == 2
    assert all(line.startswith("GET") for line in hub.requests[seen:]), "only looked"


def test_public_repository_where_the_spec_says_so(hub, sealed):
    HubDestination("org/open", "dataset", private=False).publish(sealed(), "m")
    assert not hub.repo("org/open").private


def test_change_sends_only_what_changed_and_deletes_only_ours(hub, sealed):
    REPO.publish(sealed(extra=b"goes away"), "first")
    repo = hub.repo("org/traces")
    repo.add("by hand", {**repo.head.files, "LICENSE": Stored(b"mine", lfs=False)})
    seen = len(hub.requests)
    REPO.publish(sealed(table=b"new rows"), "second")
    assert set(repo.head.files) == {*sealed(), ".gitattributes", "LICENSE"}
    assert repo.head.files["data/t/traces.parquet"].data == b"new rows"
    assert sum(line.startswith("PUT") for line in hub.requests[seen:]) == 1


def test_repository_of_something_else_is_not_touched(hub, sealed, golden):
    hub.create("org/traces", **{"train.csv": b"a,b\n"})
    with pytest.raises(UserError, match="E708") as caught:
        REPO.publish(sealed(), "m")
    golden(str(caught.value))
    assert len(hub.repo("org/traces").commits) == 1


def test_repository_made_by_hand_may_be_filled(hub, sealed):
    hub.create("org/traces", **{"README.md": b"# soon\n", "LICENSE": b"mit"})
    REPO.publish(sealed(), "m")
    assert hub.repo("org/traces").head.files["LICENSE"].data == b"mit"


REFUSALS = [
    (401, "/commit/", r"E701 .* \(injected\)"),
    (403, "/commit/", r"E702 .*org/traces \(injected\)"),
    (409, "/commit/", r"E707 .*org/traces.* 409 \(injected\)"),
    (413, "/commit/", "E707 .* 413"),
    (403, "/repos/create", "E702"),
    (401, "/preupload/", "E701"),
    (403, "/preupload/", "E702"),
    (403, "/lfs/objects/batch", "E702"),
]


@pytest.mark.parametrize(("status", "path", "text"), REFUSALS)
def test_refusal_is_reported_and_never_retried(hub, naps, sealed, status, path, text):
    hub.fail("POST", path, status=status, times=99)
    if status == 403 and path == "/repos/create":
        hub.fail("GET", "/api/datasets/org/traces", status=404, times=99, headers={"X-Error-Code": "RepoNotFound"})
    with pytest.raises(UserError, match=text):
        REPO.publish(sealed(), "m")
    assert hub.count("POST", path) == 1 and naps == []


TOKENS = {READER: "E702", STRANGER: "E702", "hf_nonsense": "E701", "": "E701"}


@pytest.mark.parametrize(("token", "text"), TOKENS.items())
def test_token_without_rights(hub, naps, sealed, monkeypatch, token, text):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.utils._auth._get_token_from_file", lambda: None)
    with pytest.raises(UserError, match=text):
        REPO.publish(sealed(), "m")
    assert not hub.repos and naps == []


def test_repository_made_by_a_rival_in_the_meantime(hub, sealed):
    """The create call answers 409: it exists, which is all that was wanted."""
    hub.fail("POST", "/repos/create", status=None, action=lambda: hub.create("org/traces"))
    REPO.publish(sealed(), "m")
    assert hub.count("POST", "/repos/create") == 1 and len(hub.repo("org/traces").commits) == 2


def test_rate_limit_waits_as_long_as_requested(hub, naps, sealed):
    hub.fail("POST", "/commit/", status=429, headers={"Retry-After": "42"})
    REPO.publish(sealed(), "m")
    assert naps == [42.0] and len(hub.repo("org/traces").commits) == 2


def test_rate_limit_of_the_window(hub, naps, sealed):
    hub.fail("POST", "/commit/", status=429, headers={"ratelimit": '"api";r=0;t=55'})
    REPO.publish(sealed(), "m")
    assert naps == [55.0]


def test_asked_to_wait_for_hours(hub, naps, sealed, golden):
    hub.fail("POST", "/commit/", status=429, headers={"Retry-After": "7200"})
    with pytest.raises(UserError, match="E704") as caught:
        REPO.publish(sealed(), "m")
    golden(str(caught.value))
    assert naps == []


def test_server_errors_are_tried_again_with_a_cap(hub, naps, sealed):
    hub.fail("POST", "/commit/", status=503, times=2)
    REPO.publish(sealed(), "m")
    assert naps == [1.0, 2.0] and len(hub.repo("org/traces").commits) == 2


def test_server_errors_without_end(hub, naps, sealed):
    hub.fail("POST", "/commit/", status=503, times=99)
    with pytest.raises(UserError, match=r"E704 .*org/traces: injected"):
        REPO.publish(sealed(), "m")
    assert naps == [1.0, 2.0, 4.0, 8.0, 16.0] and hub.count("POST", "/commit/") == 6
    assert len(hub.repo("org/traces").commits) == 1


def test_commit_that_happened_behind_an_error(hub, naps, sealed):
    hub.fail("POST", "/commit/", status=500, after=True)
    commit = REPO.publish(sealed(), "m")
    assert hub.count("POST", "/commit/") == 1, "found on the Hub, not sent again"
    assert commit == hub.repo("org/traces").head.oid and len(hub.repo("org/traces").commits) == 2


def test_answer_to_the_commit_is_lost(hub, naps, sealed):
    hub.fail("POST", "/commit/", after=True, status=502)
    REPO.publish(sealed(), "m")
    assert len(hub.repo("org/traces").commits) == 2


def test_line_cut_at_the_commit(hub, naps, sealed):
    hub.fail("POST", "/commit/")
    commit = REPO.publish(sealed(), "m")
    assert commit == hub.repo("org/traces").head.oid and len(hub.repo("org/traces").commits) == 2


def test_token_that_expires_between_upload_and_commit(hub, naps, sealed, monkeypatch):
    """Nothing is published; with a new token, no table is sent again."""
    hub.fail("POST", "/commit/", status=401)
    with pytest.raises(UserError, match=r"E701 .*HF_TOKEN"):
        REPO.publish(sealed(), "m")
    assert len(hub.repo("org/traces").commits) == 1 and naps == []
    REPO.publish(sealed(), "m")
    assert hub.count("PUT", "/lfs/") == 1 and len(hub.repo("org/traces").commits) == 2


def rival(hub):
    repo = hub.repo("org/traces")
    repo.add("rival", {**repo.head.files, f"note{len(repo.commits)}.md": Stored(b"hi", lfs=False)})


def test_rival_commit_is_planned_around_once(hub, naps, sealed):
    REPO.publish(sealed(), "first")
    hub.fail("POST", "/commit/", status=None, action=lambda: rival(hub))
    REPO.publish(sealed(table=b"new"), "second")
    repo = hub.repo("org/traces")
    assert [c.message for c in repo.commits] == ["initial commit", "first", "rival", "second"]
    assert "note2.md" in repo.head.files, "the rival's work is kept"


def test_rival_that_never_stops(hub, naps, sealed, golden):
    REPO.publish(sealed(), "first")
    hub.fail("POST", "/commit/", status=None, times=99, action=lambda: rival(hub))
    with pytest.raises(UserError, match="E710") as caught:
        REPO.publish(sealed(table=b"new"), "second")
    golden(str(caught.value))
    assert hub.count("POST", "/commit/") == 3


def test_line_cut_while_a_table_is_sent(hub, naps, sealed):
    big = bytes(range(256)) * 8192
    hub.fail("PUT", "/lfs/", times=2)
    REPO.publish(sealed(table=big), "m")
    assert hub.repo("org/traces").head.files["data/t/traces.parquet"].data == big
    assert len(hub.repo("org/traces").commits) == 2


def test_line_that_is_cut_for_good(hub, naps, sealed, golden):
    hub.fail("PUT", "/lfs/", times=9999)
    with pytest.raises(UserError, match="E704") as caught:
        REPO.publish(sealed(table=b"x" * 100_000), "m")
    golden(str(caught.value))
    assert len(hub.repo("org/traces").commits) == 1, "no half publication"


def test_refusal_by_the_store_of_large_files(hub, naps, sealed, monkeypatch):
    """Xet tells a refusal as a broken line; the real one is run up to where it asks the Hub for a token."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.fail("GET", "/xet-write-token/", status=403, times=99)
    with pytest.raises(UserError, match=r"E702 .*403 Forbidden"):
        REPO.publish(sealed(), "m")
    assert naps == [] and len(hub.repo("org/traces").commits) == 1


def test_card_that_the_hub_refuses_stops_before_any_upload(hub, sealed, golden):
    files = sealed() | {"README.md": Payload.of(b"---\nlicense: no-such-licence\n---\n")}
    with pytest.raises(UserError, match="E707") as caught:
        REPO.publish(files, "m")
    golden(str(caught.value))
    assert not hub.count("PUT", "") and not hub.count("POST", "/preupload/")


PUBLISH = """
import sys
from pathlib import Path
from astro_factory.hub.destinations import HubDestination
from astro_factory.hub.layout import Payload
paths = [path for path in sorted(Path(sys.argv[1]).rglob("*")) if path.is_file()]
files = {path.relative_to(sys.argv[1]).as_posix(): Payload.of(path) for path in paths}
HubDestination("org/traces", "dataset", True).publish(files, "m")
"""


def test_crash_between_upload_and_commit(hub, sealed, tmp_path):
    """The process is killed when its uploads are done: nothing is published, and a rerun uploads no table again."""
    files = sealed()
    for name, file in files.items():
        file.copy_to(tmp_path / "files" / name)
    started: list[subprocess.Popen] = []
    hub.fail("POST", "/commit/", action=lambda: started[0].kill())
    environment = os.environ | hub.environment(tmp_path / "home")
    started.append(subprocess.Popen([sys.executable, "-c", PUBLISH, str(tmp_path / "files")], env=environment))
    assert started[0].wait(timeout=120) == -signal.SIGKILL
    assert len(hub.repo("org/traces").commits) == 1 and hub.count("PUT", "/lfs/") == 1
    REPO.publish(files, "again")
    assert [commit.message for commit in hub.repo("org/traces").commits] == ["initial commit", "again"]
    assert hub.count("PUT", "/lfs/") == 1


def test_two_publishers_at_once(hub, sealed):
    """Both end with the same head: one commits, the other finds its content there."""
    files, commits = sealed(), []
    hub.create("org/traces")
    threads = [threading.Thread(target=lambda: commits.append(REPO.publish(files, "m"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(commits)) == 1 and len(hub.repo("org/traces").commits) == 2


def test_offline_mode_is_an_error(hub, sealed, monkeypatch, golden):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "is_offline_mode", lambda: True)
    with pytest.raises(UserError, match="E705") as caught:
        REPO.publish(sealed(), "m")
    golden(str(caught.value))


NAMES = {
    "org/name": True,
    "a/b": True,
    "Org-1/x_y.z": True,
    "org/--x": False,
    "org/a--b": False,
    "org/a..b": False,
    "org/name.git": False,
    "name": False,
    "datasets/org/name": False,
    "org/": False,
    "org/name ": False,
    "org/" + "x" * 93: False,
    "org/naïve": False,
}


@pytest.mark.parametrize(("name", "valid"), NAMES.items())
def test_repository_names(name, valid):
    """Never more lenient than the client's own rule."""
    from huggingface_hub.utils import validate_repo_id

    assert (invalid_name(name) is None) is valid
    if valid:
        validate_repo_id(name)


def test_destination_by_name(tmp_path):
    assert destination("file:out/x", "dataset", True, tmp_path) == FileDestination(tmp_path / "out/x")
    assert destination("file:/abs/x", "model", True, tmp_path).folder.as_posix() == "/abs/x"
    assert destination("org/traces", "dataset", True, tmp_path) == REPO
