"""Withdrawn and superseded publications: one commit, the card and the tools say so, and nothing brings them back."""

import json

import pytest

from astro_factory.core.errors import UserError
from astro_factory.hub.cards import Labels, dataset_card, model_card, published_tables
from astro_factory.hub.destinations import destination
from astro_factory.hub.layout import CARD, MANIFEST, Notice, Payload, data_files, seal
from astro_factory.hub.provenance import Provenance
from astro_factory.hub.publication_cache import open_cache
from astro_factory.hub.pull import pull
from astro_factory.hub.withdrawal import withdraw
from astro_factory.store.caches import Cache
from tests.hub.artifacts import make_data, make_provenance
from tests.hub.server import Stored

REASON = "The verifier *accepted* <b>wrong</b> answers."


class Place:
    """A publication with five data artifacts, in a folder or on the local Hub."""

    def __init__(self, kind: str, hub, tmp_path):
        self.kind, self.hub, self.root = kind, hub, tmp_path
        self.name = "org/traces" if kind == "hub" else f"file:{tmp_path}/out/traces"
        self.artifacts = make_data(tmp_path / "data")
        self.provenance = make_provenance(tmp_path / "provenance")
        self.first = self.publish()

    def publish(self, digest: str = "0" * 64) -> str:
        """`digest` stands for the content of the artifacts."""
        labels, read = Labels(self.name, "mit"), Provenance.read(self.provenance)
        card = dataset_card(labels, list(self.artifacts), published_tables(self.artifacts), read)
        files = data_files(self.artifacts) | {CARD: Payload.of(card.encode())}
        sealed = seal(files, self.provenance, dict.fromkeys(self.artifacts, digest))
        return destination(self.name, "dataset", False, self.root).publish(sealed, "publish")

    def files(self) -> dict[str, bytes]:
        if self.kind == "hub":
            found = self.hub.repo("org/traces").head.files
            return {path: file.data for path, file in found.items() if path != ".gitattributes"}
        folder = self.root / "out/traces"
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def card(self) -> str:
        return self.files()[CARD].decode()

    def commits(self) -> int:
        return len(self.hub.repo("org/traces").commits)


@pytest.fixture(params=["folder", "hub"])
def place(request, hub, tmp_path) -> Place:
    return Place(request.param, hub, tmp_path)


def notice_of(place: Place) -> dict:
    return json.loads(place.files()[MANIFEST]).get("notice")


def test_a_withdrawal_is_one_commit_and_says_so(place, tmp_path, golden):
    before = place.files()
    found = withdraw(place.name, REASON, "org/better")
    assert (found.status, found.commit == place.first) == ("withdrawn", False)
    after = place.files()
    assert {path for path in before if before[path] != after[path]} == {
        CARD,
        MANIFEST,
    } and before.keys() == after.keys()
    golden(place.card()[place.card().index("<!--") : place.card().index("# traces")])
    assert notice_of(place) == {"status": "withdrawn", "reason": REASON, "replaced_by": "org/better"}
    assert withdraw(place.name, REASON, "org/better").commit == found.commit, "nothing to do"
    if place.kind == "hub":
        assert place.commits() == 3 and place.hub.repo("org/traces").head.oid == found.commit


def test_a_withdrawn_publication_is_refused_by_pull_and_cache(place, tmp_path, golden):
    withdraw(place.name, REASON)
    with pytest.raises(UserError, match="E726") as caught:
        pull(place.name, tmp_path / "copy")
    golden(str(caught.value).replace(place.name, "PLACE"))
    assert not (tmp_path / "copy").exists()
    warned = []
    source = place.name if place.kind == "folder" else f"hub:{place.name}"
    assert Cache(open_cache(source), warned.append).result("a" * 64) is None
    assert len(warned) == 1 and "was withdrawn by its publisher" in warned[0]


def test_the_commit_before_a_withdrawal_can_be_pulled(hub, tmp_path):
    place = Place("hub", hub, tmp_path)
    withdraw(place.name, REASON)
    assert pull(f"org/traces@{place.first}", tmp_path / "copy").changed


def test_undo_restores_every_byte(place, tmp_path):
    before = place.files()
    withdraw(place.name, REASON, "org/better")
    assert withdraw(place.name, undo=True).status == "restored"
    assert place.files() == before and pull(place.name, tmp_path / "copy").notice == ""


def test_files_are_deleted_on_request(place, tmp_path):
    if place.kind == "hub":
        repo = place.hub.repo("org/traces")
        repo.add("by hand", {**repo.head.files, "LICENSE": Stored(b"mine", lfs=False)})
    else:
        (tmp_path / "out/traces/LICENSE").write_bytes(b"mine")
    withdraw(place.name, REASON, delete_files=True)
    assert place.files().keys() == {CARD, MANIFEST, "LICENSE"}
    card = place.card()
    assert "configs:" not in card and "Its files were deleted." in card and card.endswith("\n# traces\n")
    assert json.loads(place.files()[MANIFEST])["files"].keys() == {CARD}
    with pytest.raises(UserError, match="E727"):
        place.publish()
    withdraw(place.name, undo=True)
    place.publish()
    assert pull(place.name, tmp_path / "copy").files and "data/traces/traces.parquet" in place.files()


def test_publishing_again_does_not_undo_a_notice(place, golden):
    withdraw(place.name, REASON)
    before = place.files()
    with pytest.raises(UserError, match="E727") as caught:
        place.publish()
    golden(str(caught.value).replace(place.name.removeprefix("file:"), "PLACE"))
    assert place.files() == before
    place.publish(digest="1" * 64)
    assert notice_of(place) is None and "Withdrawn" not in place.card(), "corrected artifacts replace it"


def test_a_superseded_publication_is_pulled_with_a_warning(place, tmp_path):
    there = destination(place.name, "dataset", False, place.root)
    marked = there.mark(Notice(status="superseded", replaced_by="org/traces-2"), False, "m")
    assert "Use [org/traces-2](https://huggingface.co/datasets/org/traces-2) instead." in place.card()
    assert pull(place.name, tmp_path / "copy").notice.endswith(
        "was superseded by its publisher; org/traces-2 replaces it"
    )
    assert place.publish() == marked, "the same artifacts again leave the notice"
    assert notice_of(place) == {"status": "superseded", "replaced_by": "org/traces-2"}
    withdraw(place.name, REASON)
    there.mark(Notice(status="superseded", replaced_by="org/traces-3"), False, "m")
    assert notice_of(place) == {"status": "withdrawn", "reason": REASON, "replaced_by": "org/traces-3"}


def test_a_model_names_its_new_version(hub, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    provenance = make_provenance(tmp_path / "provenance")
    card = model_card(Labels("org/new", supersedes="org/old"), "rl", folder, Provenance.read(provenance), None)
    assert "It replaces [org/old](https://huggingface.co/org/old).\n" in card
    files = {CARD: Payload.of(card.encode()), "config.json": Payload.of(folder / "config.json")}
    old = destination("org/old", "model", False, tmp_path)
    old.publish(seal(files, provenance, {"rl": "0" * 64}), "m")
    old.mark(Notice(status="superseded", replaced_by="org/new"), False, "m")
    assert "\nnew_version: org/new\n---\n" in hub.repo("org/old", "model").head.files[CARD].data.decode()
    withdraw("org/old", undo=True)
    assert hub.repo("org/old", "model").head.files[CARD].data == card.encode()


FAULTS = {
    "rate limit": {"status": 429, "headers": {"Retry-After": "3"}},
    "server error behind a commit": {"status": 502, "after": True},
    "lost answer": {"after": True},
    "dropped connection": {},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_faults_of_the_hub_leave_one_commit(hub, naps, tmp_path, fault):
    place = Place("hub", hub, tmp_path)
    hub.fail("POST", "/commit/", **fault)
    withdraw(place.name, REASON)
    assert place.commits() == 3 and naps and notice_of(place)["status"] == "withdrawn"


def test_a_commit_of_someone_else_comes_between(hub, tmp_path):
    place = Place("hub", hub, tmp_path)
    repo = hub.repo("org/traces")
    rival = {**repo.head.files, "note.md": Stored(b"hi", lfs=False)}
    hub.fail("POST", "/commit/", status=None, action=lambda: repo.add("rival", rival))
    withdraw(place.name, REASON)
    assert place.commits() == 4 and "note.md" in place.files() and notice_of(place)


def test_places_without_a_publication(hub, tmp_path):
    hub.create("org/plain")
    for name, code in (("org/plain", "E717"), ("org/none", "E703"), (f"file:{tmp_path}", "E717"), ("x", "E714")):
        with pytest.raises(UserError, match=code):
            withdraw(name)


def test_paths_of_the_publisher_stay_private(place, tmp_path):
    withdraw(place.name, "", f"file:{tmp_path}/out/better")
    assert notice_of(place)["replaced_by"] == "file:better"
    assert str(tmp_path) not in place.card() and "Use `better` instead." in place.card()


def test_arguments_that_do_not_fit(golden):
    faults = []
    for arguments in ({"undo": True, "reason": "x"}, {"replaced_by": "no name"}, {"reason": "x" * 1001}):
        with pytest.raises(UserError, match="E728") as caught:
            withdraw("file:out", **arguments)
        faults.append(str(caught.value))
    golden("\n".join(faults))


def test_a_hostile_notice_is_one_plain_line(tmp_path):
    folder = tmp_path / "out"
    destination("file:out", "dataset", False, tmp_path).publish(
        seal({CARD: Payload.of(b"# x\n")}, make_provenance(tmp_path / "provenance"), {}), "m"
    )
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["notice"] = {"status": "withdrawn", "reason": "\x1b[2J\n\u202egone", "replaced_by": "\x1b]0;x\x07"}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="E726") as caught:
        pull(f"file:{folder}", tmp_path / "copy")
    assert not {"\x1b", "\u202e", "\x07"} & set(str(caught.value))
    manifest["notice"]["reason"] = "x" * 1001
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="E711"):
        pull(f"file:{folder}", tmp_path / "copy")
