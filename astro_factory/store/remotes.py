"""Stores elsewhere, behind fsspec: a folder, a bucket, a repository of the Hub with `blobs/` and `results/` as here.

To read from one and to write to it are two things: `build --cache URL` only reads, `push SPEC URL` only writes. What is
read is checked like any import; what is written goes blobs first and results last, so a reader never finds a result
whose blobs are still on the way.
"""

import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.errors import UserError
from astro_factory.core.results import Result, ResultProvider
from astro_factory.store.store import Store

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_EXTRAS = {"s3": "install it with `pip install 'astro-factory[s3]'`"}


class RemoteStore(ResultProvider):
    """A store at a URL: `file:PATH`, `s3://bucket/path`, `hf://datasets/org/name`, or what else fsspec knows."""

    def __init__(self, url: str):
        """Raises `UserError` E171 or E172 for a URL that nothing here can open; the network is not asked yet."""
        self.name = url
        self._files, self._root = _opened(url)

    def result(self, key: str) -> Result | None:
        try:
            result = Result.from_json(self._files.cat_file(self._path("results", key, ".json")))
        except FileNotFoundError:
            return None
        if result.key != key:
            raise ValueError("a result lies under another key")
        return result

    def has_blobs(self, result: Result) -> bool:
        return all(self._size("blobs", entry["sha256"]) == entry["size"] for entry in result.outputs.values())

    def fetch(self, sha256: str, path: Path) -> None:
        self._files.get_file(self._path("blobs", sha256), str(path))

    def push(self, store: Store, results: Iterable[Result]) -> "Pushed":
        """Write results with those of their blobs that are in the store. Raises `UserError` E173."""
        results = {result.key: result for result in results}
        sizes = {e["sha256"]: e["size"] for result in results.values() for e in result.outputs.values()}
        try:
            blobs = [
                s for s, size in sorted(sizes.items()) if store.has_blob(s, size) and self._size("blobs", s) != size
            ]
            self._write({self._path("blobs", sha256): store.blob_path(sha256) for sha256 in blobs})
            new = [key for key in sorted(results) if self._size("results", key, ".json") is None]
            self._write({self._path("results", key, ".json"): results[key].as_json() for key in new})
        except Exception as error:
            cause = f"cannot write to {self.name}: {told(error)}"
            raise UserError.of("E173", cause, "check the address, your rights there and the network") from error
        return Pushed(len(results), len(new), len(blobs), sum(sizes[sha256] for sha256 in blobs))

    def _path(self, kind: str, name: str, suffix: str = "") -> str:
        return f"{self._root}/{kind}/{name[:2]}/{name}{suffix}"

    def _size(self, kind: str, name: str, suffix: str = "") -> int | None:
        """Size of a file; None where there is none."""
        try:
            return self._files.info(self._path(kind, name, suffix))["size"]
        except FileNotFoundError:
            return None

    def _write(self, files: Mapping[str, Path | bytes]) -> None:
        if self._files.protocol == "hf" and files and not self._root.startswith("buckets/"):
            return _commit(self._files, files)
        for path, source in files.items():
            self._write_one(path, source)

    def _write_one(self, path: str, source: Path | bytes) -> None:
        """Whole or not at all: an object store does so by itself."""
        local = "file" in self._files.protocol
        temporary = f"{path}.tmp-{uuid.uuid4().hex}" if local else path
        if isinstance(source, bytes):
            self._files.pipe_file(temporary, source)
        else:
            self._files.put_file(str(source), temporary)
        if local:
            os.replace(temporary, path)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push wrote, and of how many results."""

    results: int
    new_results: int
    new_blobs: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def told(error: BaseException) -> str:
    """One line of what an error says, whichever library it comes from."""
    if isinstance(error, UserError):
        return error.diagnostics[0].cause
    lines = (line.strip() for line in str(error).splitlines())
    return f"{next((line for line in lines if line), type(error).__name__):.200}"


def _opened(url: str) -> tuple["AbstractFileSystem", str]:
    import fsspec

    scheme, _, rest = url.partition(":")
    if not rest or scheme not in fsspec.available_protocols():
        remedy = "write file:PATH, s3://BUCKET/PATH, hf://datasets/ORG/NAME/PATH or, to read only, hub:ORG/NAME"
        raise UserError.of("E171", f"'{url}' is no place for results", remedy)
    # listings would go stale beside another writer; the Hub's endpoint is read here as our other client reads it
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "file":
        rest = str(Path("/" + rest.lstrip("/") if rest.startswith("//") else rest).expanduser().absolute())
        options = {"auto_mkdir": True}
    elif scheme == "hf":
        options["endpoint"] = os.environ.get("HF_ENDPOINT")
    try:
        files, root = fsspec.url_to_fs(f"{scheme}://{rest.removeprefix('//')}", skip_instance_cache=True, **options)
    except ImportError as error:
        remedy = _EXTRAS.get(scheme, "install the package that it names")
        raise UserError.of("E172", f"{url} needs a package that is not installed: {told(error)}", remedy) from None
    return files, root.rstrip("/")


def _commit(files: "AbstractFileSystem", contents: Mapping[str, Path | bytes]) -> None:
    """Write many files of one repository of the Hub in one commit."""
    from huggingface_hub import CommitOperationAdd, HfApi

    places = {path: files.resolve_path(path) for path in contents}
    place = next(iter(places.values()))
    additions = [CommitOperationAdd(places[path].path_in_repo, source) for path, source in contents.items()]
    HfApi(endpoint=files.endpoint, library_name="astro-factory").create_commit(
        place.repo_id,
        additions,
        commit_message=f"Push {len(additions)} files with astro-factory",
        repo_type=place.repo_type,
        revision=place.revision,
    )
