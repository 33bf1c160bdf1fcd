"""The layout of a publication, on the Hub and in a `file:` folder alike.

    README.md                     the card; by its metadata `datasets.load_dataset(repo, "<artifact>")` finds the tables
    pictures/*.svg                the plots on the card
    report.html                   the report of what is published, without network requests
    data/<artifact>/...           the files of an artifact (dataset repositories)
    croissant.json, sessions/     a description of the tables; some traces as sessions (dataset repositories)
    config.json, *.safetensors    the files of the model (model repositories), with NOTICE if its licence requires one
    astro/spec.yaml               the resolved spec
    astro/templates/, astro/files/   the templates and data files that it reads
    astro/code/                   the Python modules beside the publisher's spec that it names
    astro/records/<key>.json      the record of every stage upstream
    astro/manifest.json           digest and size of every file above

Invariant: equal artifacts and equal provenance give equal bytes, manifest included; nothing depends on time or place.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError

from astro_factory.core.canonical import file_digest
from astro_factory.core.config import Config
from astro_factory.core.errors import UserError
from astro_factory.core.file_names import names_fault
from astro_factory.core.results import is_digest, is_size

CARD = "README.md"
REPORT = "report.html"
MANIFEST = "astro/manifest.json"
RECORDS = "astro/records/"


def publication_of(path: Path) -> Path | None:
    """The folder of the publication that contains a file, or the file that a link names; None for other files.

    Its manifest marks the folder, and a copy of its folder `astro`, wherever it came from.
    """
    folders = [*path.absolute().parents, *Path(os.path.realpath(path)).parents]
    for names in ((MANIFEST,), (Path(MANIFEST).name, "spec.yaml")):
        for folder in folders:
            if all(os.path.lexists(folder / name) for name in names):
                return folder
    return None


@dataclass(frozen=True, slots=True)
class Payload:
    """A file to publish, on disk or in memory."""

    source: Path | bytes
    sha256: str
    size: int

    @classmethod
    def of(cls, source: Path | bytes) -> "Payload":
        if isinstance(source, bytes):
            return cls(source, hashlib.sha256(source).hexdigest(), len(source))
        return cls(source, file_digest(source), source.stat().st_size)

    @property
    def entry(self) -> dict[str, str | int]:
        """Its entry in the manifest."""
        return {"sha256": self.sha256, "size": self.size}

    def read(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    def git_oid(self) -> str:
        """The file's id in git, and so on the Hub, if it is not kept in LFS."""
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
        """Like `copy_to`, for a file that is not needed any more."""
        if isinstance(self.source, bytes):
            return self.copy_to(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.source, path)


class FileEntry(Config):
    """A file of a publication."""

    model_config = ConfigDict(extra="ignore", strict=True)

    sha256: str
    """SHA-256 of its content, in hexadecimal."""
    size: int
    """Its size in bytes."""


class Notice(Config):
    """What the publisher says about a publication that should not be used any more."""

    model_config = ConfigDict(extra="ignore", strict=True)

    status: Literal["withdrawn", "superseded"]
    reason: Annotated[str, Field(max_length=1000)] = ""
    replaced_by: Annotated[str, Field(max_length=1000)] = ""
    """`org/name` or `file:PATH`; empty if nothing replaces it."""


class Manifest(Config):
    """`astro/manifest.json`: the files and artifacts of a publication."""

    model_config = ConfigDict(extra="ignore", strict=True)

    format: Literal[1]
    """Version of this layout."""
    artifacts: dict[str, str]
    """Artifact to its content digest in the store."""
    files: dict[str, FileEntry]
    """Path to digest and size, for every file but the manifest."""
    notice: Notice | None = None

    @classmethod
    def parse(cls, data: bytes, origin: str) -> "Manifest":
        """Read a manifest from an untrusted source, called `origin` in errors.

        Raises:
            UserError: E711 if it is not a manifest; E712 if a file name is unsafe, or a digest or size is impossible.
        """
        try:
            manifest = cls.model_validate_json(data)
        except ValidationError:
            raise UserError.of(
                "E711", f"{MANIFEST} of {origin} cannot be read", "publish it again with this version"
            ) from None
        fault = names_fault((*manifest.files, MANIFEST))
        fault = fault or next(
            (
                f"'{path}': its digest or size is impossible"
                for path, entry in manifest.files.items()
                if not (is_digest(entry.sha256) and is_size(entry.size))
            ),
            None,
        )
        if fault:
            cause = f"{MANIFEST} of {origin} lists an unsafe file, {fault}"
            raise UserError.of("E712", cause, "do not use this source: its manifest was tampered with")
        return manifest


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """(relative path, file) of every file, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def data_files(artifacts: Mapping[str, Path]) -> dict[str, Payload]:
    """The files of a dataset repository: each artifact in a folder of its name."""
    return {
        f"data/{name}/{path}": Payload.of(file)
        for name, folder in artifacts.items()
        for path, file in files_below(folder)
    }


def model_files(folder: Path, name: str) -> dict[str, Payload]:
    """The files of a model repository: those of the model, at the root.

    Raises:
        UserError: E713 if the model is only a pointer to a model on the Hub.
    """
    if not (folder / "config.json").is_file():
        cause = f"model '{name}' is only a pointer to a model on the Hub"
        raise UserError.of("E713", cause, "publish a model that was trained here")
    return {path: Payload.of(file) for path, file in files_below(folder) if path != CARD}


def seal(files: Mapping[str, Payload], provenance: Path, artifacts: Mapping[str, str]) -> dict[str, Payload]:
    """The files with their provenance and the manifest of everything."""
    sealed = dict(files) | {
        path if path == REPORT else f"astro/{path}": Payload.of(file) for path, file in files_below(provenance)
    }
    manifest = {"format": 1, "artifacts": dict(artifacts), "files": {path: file.entry for path, file in sealed.items()}}
    return sealed | {MANIFEST: manifest_payload(manifest)}


def manifest_payload(manifest: Mapping[str, object]) -> Payload:
    """A manifest as a file."""
    return Payload.of(json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")
