"""A publication as a cache: its records identify the results that its files belong to.

    build specs/x.yaml --cache hub:my-org/astro-traces         the newest commit; `@REVISION` pins another
    build specs/x.yaml --cache file:/mnt/share/astro-traces    a publication in a folder

A record lists the digests of a stage's output, and the manifest maps files of the repository to digests. A result is
trusted because the user named the place: a digest proves the bytes, not that the stage would have produced them.
"""

import json
import shutil
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from astro_factory.core.errors import UserError
from astro_factory.core.file_names import regular_file
from astro_factory.core.results import Result, ResultProvider
from astro_factory.hub.client import hub_client, with_retries
from astro_factory.hub.destinations import RepoType
from astro_factory.hub.layout import MANIFEST, RECORDS, Manifest, Payload
from astro_factory.hub.notices import usable
from astro_factory.hub.places import invalid_name, is_local
from astro_factory.hub.pull import find, read_manifest_of
from astro_factory.store.remotes import RemoteStore


def open_cache(url: str) -> ResultProvider:
    """The publication or store behind a URL. Raises `UserError` for other URLs."""
    if url.startswith("hub:"):
        return PublishedRepository(url)
    if is_local(url) and (folder := _folder(url) / MANIFEST).is_file():
        return PublishedFolder(url, folder.parents[1])
    return RemoteStore(url)


def _folder(url: str) -> Path:
    return Path(url.removeprefix("file:").removeprefix("//")).expanduser()


class Publication(ResultProvider, ABC):
    """The results of a publication, read from its manifest and records."""

    def __init__(self, name: str):
        self.name = name

    @cached_property
    def manifest(self) -> Manifest:
        return usable(self._read_manifest(), self.name)

    @abstractmethod
    def _read_manifest(self) -> Manifest: ...

    @abstractmethod
    def load(self, path: str, target: Path) -> None:
        """Copy one of its files."""

    def result(self, key: str) -> Result | None:
        path = f"{RECORDS}{key}.json"
        if path not in self.manifest.files:
            return None
        with TemporaryDirectory() as folder:
            file = Path(folder) / "record.json"
            self.load(path, file)
            data = file.read_bytes()
        if Payload.of(data).sha256 != self.manifest.files[path].sha256:
            raise ValueError("it differs from what was published")
        try:
            entry = json.loads(data)
            fields = {"key": entry["key"], "record": entry["record"], "outputs": entry["outputs"]}
        except (TypeError, KeyError, RecursionError):
            raise ValueError("it is not a record") from None
        if fields["key"] != key:
            raise ValueError("its key is another one")
        return Result.from_json(json.dumps({**fields, "provenance": {"source": self.name}}).encode())

    def has_blobs(self, result: Result) -> bool:
        return {entry["sha256"] for entry in result.outputs.values()} <= self._paths.keys()

    def fetch(self, sha256: str, path: Path) -> None:
        self.load(self._paths[sha256], path)

    @cached_property
    def _paths(self) -> dict[str, str]:
        return {entry.sha256: path for path, entry in self.manifest.files.items()}


class PublishedFolder(Publication):
    """A `file:` publication."""

    def __init__(self, name: str, folder: Path):
        super().__init__(name)
        self.folder = folder

    def _read_manifest(self) -> Manifest:
        return Manifest.parse(self._file(MANIFEST).read_bytes(), self.name)

    def load(self, path: str, target: Path) -> None:
        shutil.copyfile(self._file(path), target)

    def _file(self, path: str) -> Path:
        file = regular_file(self.folder, path)
        if file is None:
            raise FileNotFoundError(f"{path} is missing or a link")
        return file


class PublishedRepository(Publication):
    """A publication on the Hub; it uses the network only when a result is looked up."""

    def __init__(self, name: str):
        super().__init__(name)
        self._repo, _, self._revision = name.removeprefix("hub:").partition("@")
        bare = self._repo.removeprefix("datasets/").removeprefix("models/")
        if problem := invalid_name(bare):
            raise UserError.of("E714", problem, "name a cache as `hub:org/name` or `hub:org/name@revision`")

    @cached_property
    def _found(self) -> tuple[str, RepoType, str]:
        return find(hub_client(), self._repo, self._revision)

    def _read_manifest(self) -> Manifest:
        repo, repo_type, commit = self._found
        return Manifest.parse(read_manifest_of(hub_client(), repo, repo_type, commit), repo)

    def load(self, path: str, target: Path) -> None:
        repo, repo_type, commit = self._found
        api = hub_client()
        with TemporaryDirectory(dir=target.parent) as folder:
            loaded = with_retries(
                repo,
                lambda: api.hf_hub_download(repo, path, repo_type=repo_type, revision=commit, local_dir=folder),
            )
            shutil.move(loaded, target)
