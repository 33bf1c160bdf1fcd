"""Destinations of publications: `publish(files, message)` and `mark(notice, ...)`, which return a commit id.

Invariant, for both kinds: a reader sees either the old publication or the new one, complete; publishing the same files
again does nothing and returns the same id; files from others (a licence text added by hand) are kept; a place that
contains something else is never touched.
"""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from astro_factory.core.canonical import digest, file_digest
from astro_factory.core.errors import UserError
from astro_factory.hub.client import Retries, hub_client, status_of, with_retries
from astro_factory.hub.layout import CARD, MANIFEST, Manifest, Notice, Payload, files_below
from astro_factory.hub.notices import keeps_notice, marked_files
from astro_factory.hub.places import FILE, is_local

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
    from huggingface_hub.hf_api import RepoFile

    CommitOperation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete

RepoType = Literal["dataset", "model"]
_FIRST_FILES = {".gitattributes", ".gitignore", "README.md", "LICENSE"}
"""Files that an otherwise empty repository may contain when it was created on the website."""


class Destination(ABC):
    """A place to publish to."""

    @abstractmethod
    def publish(self, files: Mapping[str, Payload], message: str) -> str:
        """Replace the place's publication by `files` in one step; returns the id of the commit.

        Raises:
            UserError: the place cannot be written, or contains something else; E727 if its publisher withdrew these
                artifacts.
        """

    @abstractmethod
    def mark(self, notice: Notice | None, delete_files: bool, message: str) -> str:
        """Put a notice at the top of the card and into the manifest, in one step; returns the id of the commit.

        Args:
            notice: None removes an earlier one.
            delete_files: Whether to delete everything but the card and the manifest.

        Raises:
            UserError: the place cannot be written; E717 if it contains no publication.
        """


def destination(repo: str, repo_type: RepoType, private: bool, root: Path) -> Destination:
    """The destination of a spec's `repo`: `file:PATH` (relative to `root`) or `org/name` on the Hub."""
    if is_local(repo):
        return FileDestination(root / Path(repo.removeprefix(FILE)).expanduser())
    return HubDestination(repo, repo_type, private)


def no_publication(place: str) -> UserError:
    cause = f"{place} has no {MANIFEST}, so it was not published by astro-factory"
    return UserError.of("E717", cause, "read other data with `kind: hub` or datasets.load_dataset")


def _foreign(place: str) -> UserError:
    cause = f"{place} contains something other than a publication of astro-factory"
    return UserError.of("E708", cause, "use a new or empty place; nothing was written")


@dataclass(frozen=True)
class FileDestination(Destination):
    """A folder, replaced as a whole; its commit id is the digest of the published files."""

    folder: Path

    def publish(self, files: Mapping[str, Payload], message: str = "") -> str:
        """`message` is not used."""
        if (manifest := self.manifest()) and keeps_notice(manifest, files, str(self.folder)):
            return digest(
                {
                    **{path: e.sha256 for path, e in manifest.files.items()},
                    MANIFEST: file_digest(self.folder / MANIFEST),
                }
            )
        return self.write(files)

    def mark(self, notice: Notice | None, delete_files: bool, message: str = "") -> str:
        if (manifest := self.manifest()) is None:
            raise no_publication(f"{FILE}{self.folder}")
        data = {name: (self.folder / name).read_bytes() for name in (MANIFEST, CARD) if (self.folder / name).is_file()}
        files = (
            {}
            if delete_files
            else {path: Payload.of(file) for path in manifest.files if (file := self.folder / path).is_file()}
        )
        return self.write(files | marked_files(data, notice, delete_files))

    def manifest(self) -> Manifest | None:
        """The manifest of the publication in the folder, if there is one."""
        file = self.folder / MANIFEST
        return Manifest.parse(file.read_bytes(), str(self.folder)) if file.is_file() else None

    def write(self, files: Mapping[str, Payload], place: Callable[[Payload, Path], None] = Payload.copy_to) -> str:
        """Replace the publication by `files`; `place` copies or moves one file."""
        digests = {path: file.sha256 for path, file in files.items()}
        if not self.holds(digests):
            try:
                self._replace(files, place)
            except OSError as error:
                cause = f"{self.folder} cannot be written ({error.strerror or error})"
                raise UserError.of(
                    "E709", cause, "free space or fix the permissions there, or publish to another folder"
                ) from error
        return digest(digests)

    def holds(self, digests: Mapping[str, str]) -> bool:
        """Whether these files exist, each with its digest."""
        return all(
            (file := self.folder / path).is_file() and file_digest(file) == sha256 for path, sha256 in digests.items()
        )

    def _replace(self, files: Mapping[str, Payload], place: Callable[[Payload, Path], None]) -> None:
        folder = self.folder.resolve()
        kept = self._others() - files.keys()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            new, old = Path(temporary, "new"), Path(temporary, "old")
            for path in sorted(kept):
                Payload.of(folder / path).copy_to(new / path)
            for path, file in files.items():
                place(file, new / path)
            if folder.exists():
                os.rename(folder, old)
            try:
                os.rename(new, folder)
            except OSError:
                if old.exists():
                    os.rename(old, folder)
                raise

    def _others(self) -> set[str]:
        """Files in the folder that do not belong to a publication."""
        if not self.folder.exists():
            return set()
        if not self.folder.is_dir():
            raise _foreign(str(self.folder))
        present = {path for path, _ in files_below(self.folder)}
        if MANIFEST not in present and present:
            raise _foreign(str(self.folder))
        manifest = self.manifest()
        return present - set(manifest.files if manifest else ()) - {MANIFEST}


class Head(NamedTuple):
    """The newest commit of a repository and its files by path."""

    commit: str
    files: "Mapping[str, RepoFile]"


@dataclass(frozen=True)
class HubDestination(Destination):
    """A repository on the Hub, written by exactly one commit that names its parent."""

    repo: str
    repo_type: RepoType
    private: bool

    def publish(self, files: Mapping[str, Payload], message: str) -> str:
        return self._in_one_commit(lambda api, head: self._operations(api, files, head), message, create=True)

    def mark(self, notice: Notice | None, delete_files: bool, message: str) -> str:
        return self._in_one_commit(
            lambda api, head: self._marking(api, head, notice, delete_files), message, create=False
        )

    def _in_one_commit(
        self, changes: "Callable[[HfApi, Head], Sequence[CommitOperation]]", message: str, create: bool
    ) -> str:
        """Each attempt reads the head, computes the changes and commits, so another attempt handles every failure.

        If a commit succeeded although its response was an error, the next attempt finds nothing to change. If another
        commit came in between, the Hub refuses ours (412), and the changes are computed again, once.
        """
        api, retries, conflicted = hub_client(), Retries(self.repo), False
        while True:
            try:
                head = self._head(api, create)
                operations = changes(api, head)
                if not operations:
                    return head.commit
                return self._commit(api, operations, message, head.commit)
            except Exception as error:
                if status_of(error) != 412:
                    retries.wait(error)
                elif conflicted:
                    cause = f"{self.repo} keeps receiving other commits"
                    raise UserError.of("E710", cause, "build again when the other commits are done") from error
                else:
                    conflicted = True

    def _head(self, api: "HfApi", create: bool) -> Head:
        from huggingface_hub.errors import RepositoryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        try:
            commit = api.repo_info(self.repo, repo_type=self.repo_type).sha
        except RepositoryNotFoundError:
            if not create:
                raise
            api.create_repo(self.repo, repo_type=self.repo_type, private=self.private, exist_ok=True)
            commit = api.repo_info(self.repo, repo_type=self.repo_type).sha
        assert commit is not None
        tree = api.list_repo_tree(self.repo, repo_type=self.repo_type, revision=commit, recursive=True)
        return Head(commit, {entry.path: entry for entry in tree if isinstance(entry, RepoFile)})

    def _operations(self, api: "HfApi", files: Mapping[str, Payload], head: Head) -> "Sequence[CommitOperation]":
        """The changes from the head to the publication; empty if there are none."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        if MANIFEST not in head.files and not set(head.files) <= _FIRST_FILES:
            raise _foreign(f"repository {self.repo}")
        published = self._published(api, files, head)
        if published and keeps_notice(published, files, self.repo):
            return []
        stale = set(published.files if published else ()) - files.keys()
        deletions = [CommitOperationDelete(path) for path in sorted(stale & head.files.keys())]
        additions = [
            CommitOperationAdd(path, file.source)
            for path, file in files.items()
            if path not in head.files or not _same(file, head.files[path])
        ]
        return additions + deletions

    def _published(self, api: "HfApi", files: Mapping[str, Payload], head: Head) -> Manifest | None:
        """The manifest of the previous publication, unless it is the same."""
        if MANIFEST not in head.files or _same(files[MANIFEST], head.files[MANIFEST]):
            return None
        return Manifest.parse(read_manifest(api, self.repo, self.repo_type, head.commit), self.repo)

    def _marking(
        self, api: "HfApi", head: Head, notice: Notice | None, delete_files: bool
    ) -> "Sequence[CommitOperation]":
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        if MANIFEST not in head.files:
            raise no_publication(self.repo)
        data = {
            name: _read(api, self.repo, self.repo_type, head.commit, name)
            for name in (MANIFEST, CARD)
            if name in head.files
        }
        files = marked_files(data, notice, delete_files)
        published = Manifest.parse(data[MANIFEST], self.repo).files
        deleted = sorted((published.keys() & head.files.keys()) - files.keys()) if delete_files else []
        changed = [name for name, file in files.items() if file.read() != data.get(name)]
        additions = [CommitOperationAdd(name, files[name].source) for name in changed]
        return [*additions, *(CommitOperationDelete(path) for path in deleted)]

    def _commit(self, api: "HfApi", operations: "Sequence[CommitOperation]", message: str, parent: str) -> str:
        info = api.create_commit(
            self.repo, operations, commit_message=message, repo_type=self.repo_type, parent_commit=parent
        )
        return info.oid


def read_manifest(api: "HfApi", repo: str, repo_type: RepoType, commit: str) -> bytes:
    """The manifest of a repository at a commit, unparsed."""
    return _read(api, repo, repo_type, commit, MANIFEST)


def _read(api: "HfApi", repo: str, repo_type: RepoType, commit: str, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = with_retries(
            repo, lambda: api.hf_hub_download(repo, name, repo_type=repo_type, revision=commit, local_dir=folder)
        )
        return Path(path).read_bytes()


def _same(file: Payload, remote: "RepoFile") -> bool:
    """Whether a file on the Hub has this content, by its id."""
    if remote.size != file.size:
        return False
    return remote.lfs.sha256 == file.sha256 if remote.lfs else remote.blob_id == file.git_oid()
