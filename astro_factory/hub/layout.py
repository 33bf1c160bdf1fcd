"""What a published repository holds; the same on the Hub and in a `file:` folder.

    README.md                     the card; by its metadata `datasets.load_dataset(repo, "<artifact>")` finds the tables
    data/<artifact>/...           an artifact's own files (repositories of data)
    config.json, *.safetensors    a model's own files (repositories of a model), with NOTICE where its licence wants one
    astro/spec.yaml               the resolved spec, with whatever else the builder hands over
    astro/records/<key>.json      the record of every stage that led here
    astro/manifest.json           digest and size of every file above

Invariant: equal artifacts and equal provenance give equal bytes, manifest included; nothing tells when or where.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from astro_factory.core.canonical import file_digest
from astro_factory.core.errors import UserError
from astro_factory.core.results import is_digest, is_inside

CARD = "README.md"
MANIFEST = "astro/manifest.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Payload:
    """A file to publish: on disk or in memory."""

    source: Path | bytes
    sha256: str
    size: int

    @classmethod
    def of(cls, source: Path | bytes) -> "Payload":
        if isinstance(source, bytes):
            return cls(source, hashlib.sha256(source).hexdigest(), len(source))
        return cls(source, file_digest(source), source.stat().st_size)

    def read(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    def git_oid(self) -> str:
        """The id that git, and so the Hub, gives a file that is not kept in LFS."""
        return hashlib.sha1(b"blob %d\0" % self.size + self.read()).hexdigest()

    def copy_to(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.source, bytes):
            path.write_bytes(self.source)
        else:
            shutil.copyfile(self.source, path)
        with path.open("rb") as file:
            os.fsync(file.fileno())

    def move_to(self, path: Path) -> None:
        """As `copy_to`, of a file that nobody else needs."""
        if isinstance(self.source, bytes):
            return self.copy_to(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.source, path)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `astro/manifest.json` says: each file's digest and size, and each artifact's content digest in the store."""

    files: Mapping[str, Mapping[str, Any]]
    artifacts: Mapping[str, str]

    @classmethod
    def parse(cls, data: bytes, origin: str) -> "Manifest":
        """Read a manifest somebody else may have written.

        Raises:
            UserError: it is no manifest, or names a file outside its folder.
        """
        try:
            raw = json.loads(data)
            known = raw["format"] == _FORMAT
            files = {path: {"sha256": str(e["sha256"]), "size": int(e["size"])} for path, e in raw["files"].items()}
            artifacts = {str(name): str(content) for name, content in raw["artifacts"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            known, files, artifacts = False, {}, {}
        if not known:
            raise UserError.of("E711", f"{MANIFEST} of {origin} cannot be read", "publish it again with this version")
        for path, entry in files.items():
            if not _is_inside(path) or not is_digest(entry["sha256"]):
                cause = f"{MANIFEST} of {origin} names '{path}', which is no file of a publication"
                raise UserError.of("E712", cause, "do not use this source: its manifest was tampered with")
        return cls(files, artifacts)


def _is_inside(path: str) -> bool:
    return is_inside(path) and PurePosixPath(path).parts[0] not in (".git", ".cache")


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """(path from the folder, file) of every file, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def data_files(artifacts: Mapping[str, Path]) -> dict[str, Payload]:
    """The files of a repository of data: each artifact in a folder of its name."""
    return {
        f"data/{name}/{path}": Payload.of(file)
        for name, folder in artifacts.items()
        for path, file in files_below(folder)
    }


def model_files(folder: Path, name: str) -> dict[str, Payload]:
    """The files of a model repository: the model's own, at the root.

    Raises:
        UserError: the model is only a pointer to one that is on the Hub already.
    """
    if not (folder / "config.json").is_file():
        cause = f"model '{name}' is only a pointer to a model on the Hub"
        raise UserError.of("E713", cause, "publish a model that was trained here")
    return {path: Payload.of(file) for path, file in files_below(folder) if path != CARD}


def seal(files: Mapping[str, Payload], provenance: Path, artifacts: Mapping[str, str]) -> dict[str, Payload]:
    """The files with their provenance beside them and the manifest of it all."""
    sealed = dict(files) | {f"astro/{path}": Payload.of(file) for path, file in files_below(provenance)}
    listing = {path: {"sha256": file.sha256, "size": file.size} for path, file in sealed.items()}
    manifest = {"format": _FORMAT, "artifacts": dict(artifacts), "files": listing}
    return sealed | {MANIFEST: Payload.of(json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")}
