"""Remote stores through fsspec: a folder, a bucket or a repository of the Hub that holds `blobs/` and `results/`.

Reading and writing are separate: `build --cache URL` only reads, `push SPEC URL` only writes. Whatever is read is
checked like any import. Blobs are written before results, so a reader never finds a result before its blobs.
"""

import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.errors import UserError
from astro_factory.core.results import MAX_RESULT, Result, ResultProvider
from astro_factory.store.store import Store

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_EXTRAS = {"s3": "install it with `pip install 'astro-factory[s3]'`"}


class RemoteStore(ResultProvider):
    """A store at a URL: `file:PATH`, `s3://bucket/path`, `hf://datasets/org/name` or any other that fsspec supports."""

    def __init__(self, url: str):
        """Raises `UserError` E171 or E172 for a URL that cannot be opened; does not use the network yet."""
        self.name = url
        self._files, self._root = _open(url)

    def result(self, key: str) -> Result | None:
        path = self._path("results", key, ".json")
        try:
            info = self._files.info(path)
            if info["type"] != "file" or (info["size"] or 0) > MAX_RESULT:  # reading a FIFO would wait for a writer
                raise ValueError("it is not a regular file, or too large")
            data = self._files.cat_file(path)
        except FileNotFoundError:
            return None
        result = Result.from_json(data.encode() if isinstance(data, str) else data)
        if result.key != key:
            raise ValueError("a result is stored under another key")
        return result

    def why_empty(self) -> str:
        return "" if self._files.exists(f"{self._root}/results") else "no store was pushed there"

    def has_blobs(self, result: Result) -> bool:
        return all(self._size("blobs", entry["sha256"]) == entry["size"] for entry in result.outputs.values())

    def fetch(self, sha256: str, path: Path) -> None:
        self._files.get_file(self._path("blobs", sha256), str(path))

    def push(self, store: Store, results: Iterable[Result]) -> "Pushed":
        """Write results and those of their blobs that are in the store. Raises `UserError` E173."""
        by_key = {result.key: result for result in results}
        sizes = {e["sha256"]: e["size"] for result in by_key.values() for e in result.outputs.values()}
        try:
            blobs = [
                s for s, size in sorted(sizes.items()) if store.has_blob(s, size) and self._size("blobs", s) != size
            ]
            self._write({self._path("blobs", sha256): store.blob_path(sha256) for sha256 in blobs})
            new = [key for key in sorted(by_key) if self._size("results", key, ".json") is None]
            self._write({self._path("results", key, ".json"): by_key[key].as_json() for key in new})
        except Exception as error:
            cause = f"cannot write to {self.name}: {error_summary(error)}"
            raise UserError.of("E173", cause, "check the address, your access rights and the network") from error
        return Pushed(len(by_key), len(new), len(blobs), sum(sizes[sha256] for sha256 in blobs))

    def _path(self, kind: str, name: str, suffix: str = "") -> str:
        return f"{self._root}/{kind}/{name[:2]}/{name}{suffix}"

    def _size(self, kind: str, name: str, suffix: str = "") -> int | None:
        """Size of a regular file; None if there is none."""
        try:
            info = self._files.info(self._path(kind, name, suffix))
            return info["size"] if info["type"] == "file" else None
        except FileNotFoundError:
            return None

    def _write(self, files: Mapping[str, Path | bytes]) -> None:
        if self._files.protocol == "hf" and files and not self._root.startswith("buckets/"):
            return _commit(self._files, files)
        for path, source in files.items():
            self._write_one(path, source)

    def _write_one(self, path: str, source: Path | bytes) -> None:
        """Write a file atomically; object stores do that by themselves."""
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
    """What a push wrote; `results` counts also those that existed."""

    results: int
    new_results: int
    new_blobs: int
    bytes: int

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def error_summary(error: BaseException) -> str:
    """The message of an error from any library, in one line."""
    if isinstance(error, UserError):
        return error.diagnostics[0].cause
    lines = (line.strip() for line in str(error).splitlines())
    return f"{next((line for line in lines if line), type(error).__name__):.200}"


def _open(url: str) -> tuple["AbstractFileSystem", str]:
    import fsspec

    scheme, _, rest = url.partition(":")
    if not rest or scheme not in fsspec.available_protocols():
        remedy = "use file:PATH, s3://BUCKET/PATH, hf://datasets/ORG/NAME/PATH or, read-only, hub:ORG/NAME"
        raise UserError.of("E171", f"'{url}' is not the address of a store", remedy)
    # no cached listings, because others may write meanwhile; the Hub's endpoint is the one that our Hub client uses
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "file":
        rest = str(Path("/" + rest.lstrip("/") if rest.startswith("//") else rest).expanduser().absolute())
        options = {"auto_mkdir": True}
    elif scheme == "hf":
        options["endpoint"] = os.environ.get("HF_ENDPOINT")
    try:
        files, root = fsspec.url_to_fs(f"{scheme}://{rest.removeprefix('//')}", skip_instance_cache=True, **options)
    except ImportError as error:
        remedy = _EXTRAS.get(scheme, "install the package that the message names")
        cause = f"{url} needs a package that is not installed: {error_summary(error)}"
        raise UserError.of("E172", cause, remedy) from None
    return files, root.rstrip("/")


def _commit(files: "AbstractFileSystem", contents: Mapping[str, Path | bytes]) -> None:
    """Write files to one repository of the Hub in one commit."""
    from huggingface_hub import CommitOperationAdd, HfApi, HfFileSystem
    from huggingface_hub.hf_file_system import HfFileSystemResolvedRepositoryPath

    assert isinstance(files, HfFileSystem)

    def resolved(path: str) -> HfFileSystemResolvedRepositoryPath:
        place = files.resolve_path(path)
        assert isinstance(place, HfFileSystemResolvedRepositoryPath)
        return place

    additions = [CommitOperationAdd(resolved(path).path_in_repo, source) for path, source in contents.items()]
    target = resolved(next(iter(contents)))
    HfApi(endpoint=files.endpoint, library_name="astro-factory").create_commit(
        target.repo_id,
        additions,
        commit_message=f"Push {len(additions)} files with astro-factory",
        repo_type=target.repo_type,
        revision=target.revision,
    )
