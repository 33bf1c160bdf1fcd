"""A publication as a cache: the records that travel with the data say which results its files are.

    build specs/x.yaml --cache hub:my-org/astro-traces         the newest commit; `@REVISION` pins another
    build specs/x.yaml --cache file:/mnt/share/astro-traces    a publication in a folder

A record gives the digests of a stage's output, and the manifest says which file of the repository has which digest. It
is believed because the user named the place: a digest proves the bytes, not that the stage would have made them.
"""

import json
import shutil
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from astro_factory.core.errors import UserError
from astro_factory.core.results import Result, ResultProvider
from astro_factory.hub.client import hub_client, patiently
from astro_factory.hub.destinations import invalid_name, is_local
from astro_factory.hub.layout import MANIFEST, Manifest, Payload
from astro_factory.hub.pull import find, read_manifest_of
from astro_factory.store.remotes import RemoteStore


def open_place(url: str) -> ResultProvider:
    """What a URL names: a publication, or a store. Raises `UserError` for a URL that names neither."""
    if url.startswith("hub:"):
        return PublishedRepository(url)
    if is_local(url) and (folder := _folder(url) / MANIFEST).is_file():
        return PublishedFolder(url, folder.parents[1])
    return RemoteStore(url)


def _folder(url: str) -> Path:
    return Path(url.removeprefix("file:").removeprefix("//")).expanduser()


class Publication(ResultProvider, ABC):
    """The results of a publication, read by its manifest and records."""

    def __init__(self, name: str):
        self.name = name

    @property
    @abstractmethod
    def manifest(self) -> Manifest: ...

    @abstractmethod
    def load(self, path: str, target: Path) -> None:
        """Copy one of its files."""

    def result(self, key: str) -> Result | None:
        path = f"astro/records/{key}.json"
        if path not in self.manifest.files:
            return None
        with TemporaryDirectory() as folder:
            file = Path(folder) / "record.json"
            self.load(path, file)
            data = file.read_bytes()
        if Payload.of(data).sha256 != self.manifest.files[path]["sha256"]:
            raise ValueError("it is not what was published")
        entry = json.loads(data)
        fields = {"key": entry["key"], "record": entry["record"], "outputs": entry["outputs"]}
        return Result.from_json(json.dumps({**fields, "provenance": {"source": self.name}}).encode())

    def has_blobs(self, result: Result) -> bool:
        return {entry["sha256"] for entry in result.outputs.values()} <= self._paths.keys()

    def fetch(self, sha256: str, path: Path) -> None:
        self.load(self._paths[sha256], path)

    @cached_property
    def _paths(self) -> dict[str, str]:
        return {entry["sha256"]: path for path, entry in self.manifest.files.items()}


class PublishedFolder(Publication):
    """A `file:` publication."""

    def __init__(self, name: str, folder: Path):
        super().__init__(name)
        self.folder = folder

    @cached_property
    def manifest(self) -> Manifest:
        return Manifest.parse((self.folder / MANIFEST).read_bytes(), self.name)

    def load(self, path: str, target: Path) -> None:
        shutil.copyfile(self.folder / path, target)


class PublishedRepository(Publication):
    """A publication on the Hub; nothing is asked of the network until something is looked for."""

    def __init__(self, name: str):
        super().__init__(name)
        self._repo, _, self._revision = name.removeprefix("hub:").partition("@")
        bare = self._repo.removeprefix("datasets/").removeprefix("models/")
        if problem := invalid_name(bare):
            raise UserError.of("E714", problem, "name a cache as `hub:org/name` or `hub:org/name@revision`")

    @cached_property
    def _found(self) -> tuple:
        return find(hub_client(), self._repo, self._revision)

    @cached_property
    def manifest(self) -> Manifest:
        repo, repo_type, commit = self._found
        return Manifest.parse(read_manifest_of(hub_client(), repo, repo_type, commit), repo)

    def load(self, path: str, target: Path) -> None:
        repo, repo_type, commit = self._found
        api = hub_client()
        with TemporaryDirectory(dir=target.parent) as folder:
            loaded = patiently(
                repo,
                lambda: api.hf_hub_download(repo, path, repo_type=repo_type, revision=commit, local_dir=folder),
            )
            shutil.move(loaded, target)
