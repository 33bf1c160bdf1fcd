"""The result of a stage run as a store keeps it, and the interface of places that offer results."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from astro_factory.core.canonical import digest
from astro_factory.core.errors import UserError
from astro_factory.core.file_names import names_fault

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ZEROS = "0" * 64

Record = Mapping[str, Any]
"""The canonical description of one stage run, as JSON."""
Provenance = Mapping[str, Any]
"""Versions, hardware, times and cost of one run, as JSON: what may differ between two runs of one record."""


class OutputFile(TypedDict):
    """One file of an output."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one stage run."""

    key: str
    record: Record
    outputs: Mapping[str, OutputFile]
    """File name to digest and size."""
    provenance: Provenance

    @property
    def content(self) -> str:
        """Digest of the output's content, which the records of followers contain."""
        return digest({name: entry["sha256"] for name, entry in self.outputs.items()})

    def as_json(self) -> bytes:
        """The result as a file. Its first entry, `digest`, is the file's digest computed with zeros in its place."""
        fields = {"key": self.key, "record": self.record, "outputs": self.outputs, "provenance": self.provenance}
        data = json.dumps({"digest": _ZEROS, **fields}, indent=1, sort_keys=True, ensure_ascii=False).encode()
        return data.replace(_ZEROS.encode(), _digest_of(data, _ZEROS).encode(), 1)

    @classmethod
    def from_json(cls, data: bytes) -> "Result":
        """Raises ValueError for a torn or edited file, a record that does not match the key, and an unsafe path."""
        try:
            fields = json.loads(data)
            own_digest = fields.pop("digest", None)  # files of early exports have none
            result = cls(**fields)
            matches = digest(result.record) == result.key
            sound = all(is_digest(entry["sha256"]) and is_size(entry["size"]) for entry in result.outputs.values())
        except RecursionError:
            raise ValueError("not a result: it is nested too deeply") from None
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"not a result: {error}") from None
        if not all(isinstance(part, dict) for part in (result.record, result.outputs, result.provenance)):
            raise ValueError("not a result: record, outputs and provenance must be objects")
        if not matches:
            raise ValueError("the record does not match the key")
        if not sound:
            raise ValueError("it lists a file without a digest or a size")
        if fault := names_fault(result.outputs):
            raise ValueError(f"it lists an unsafe file name, {fault}")
        if own_digest is not None and not (is_digest(own_digest) and _digest_of(data, own_digest) == own_digest):
            raise ValueError("it was changed after it was written")
        return result


def _digest_of(data: bytes, own_digest: str) -> str:
    """Digest of a result file with zeros in place of its own digest."""
    return hashlib.sha256(data.replace(own_digest.encode(), _ZEROS.encode(), 1)).hexdigest()


def is_digest(text: object) -> bool:
    """Whether this is a SHA-256 as the store writes it."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def is_size(value: object) -> bool:
    """Whether this is a file's size in bytes."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


class ResultProvider(ABC):
    """A place outside the store that offers results: a store export or a cache."""

    name: str
    """The name that messages use."""

    @abstractmethod
    def result(self, key: str) -> Result | None:
        """The result of a key, whether or not its files are available."""

    @abstractmethod
    def has_blobs(self, result: Result) -> bool:
        """Whether every file of a result is available."""

    @abstractmethod
    def fetch(self, sha256: str, path: Path) -> None:
        """Write a blob to a new file. The caller checks the bytes. Raises `UserError` if the blob is unavailable."""

    def damaged(self, sha256: str) -> UserError:
        """The error to raise for a fetched blob that does not match its digest."""
        cause = f"blob {sha256[:12]} of {self.name} does not match its digest"
        return UserError.of("E174", cause, "build without this cache")
