"""The result of a stage run as a store keeps it, and the interface of places that offer results."""

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypedDict

from astro_factory.core.canonical import digest
from astro_factory.core.errors import UserError
from astro_factory.core.file_names import names_fault

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ZEROS = "0" * 64
MAX_RESULT = 64 << 20
"""Largest result file, in bytes, that is read from elsewhere."""

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

    @property
    def blobs(self) -> dict[str, int]:
        """Digest to size of every blob that the output consists of."""
        return {entry["sha256"]: entry["size"] for entry in self.outputs.values()}

    def as_json(self) -> bytes:
        """The result as a file. Its first entry, `digest`, is the file's digest computed with zeros in its place."""
        fields = {"key": self.key, "record": self.record, "outputs": self.outputs, "provenance": self.provenance}
        data = json.dumps({"digest": _ZEROS, **fields}, indent=1, sort_keys=True, ensure_ascii=False).encode()
        return data.replace(_ZEROS.encode(), _digest_of(data, _ZEROS).encode(), 1)

    @classmethod
    def from_json(cls, data: bytes) -> "Result":
        """Raises ValueError for a torn or edited file, a record that does not match the key, an unsafe file name, and
        provenance of other types than a builder writes."""
        try:
            fields = json.loads(data)
            own_digest = fields.pop("digest", None)  # files of early exports have none
            result = cls(**fields)
            matches = digest(result.record) == result.key
            sound = all(is_digest(entry["sha256"]) and is_size(entry["size"]) for entry in result.outputs.values())
        except RecursionError:
            raise ValueError("not a result: it is nested too deeply") from None
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"not a result: {ascii(str(error))[1:-1]:.200}") from None
        if not all(isinstance(part, dict) for part in (result.record, result.outputs, result.provenance)):
            raise ValueError("not a result: record, outputs and provenance must be objects")
        if not matches:
            raise ValueError("the record does not match the key")
        if not sound:
            raise ValueError("it lists a file without a digest or a size")
        if not result.outputs:
            raise ValueError("it lists no files")
        if len({(entry["sha256"], entry["size"]) for entry in result.outputs.values()}) > len(result.blobs):
            raise ValueError("it lists two sizes for one file")
        if fault := names_fault(result.outputs):
            raise ValueError(f"it lists an unsafe file name, {fault}")
        if odd := next((name for name, value in result.provenance.items() if not _is_provenance(name, value)), None):
            raise ValueError(f"its provenance has a value of the wrong type, '{odd:.40}'")
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


def _is_provenance(name: str, value: object) -> bool:
    """Whether a value has the type that builders write and readers rely on; names that are not listed are free."""
    match name:
        case "versions":
            return isinstance(value, dict) and all(isinstance(version, str) for version in value.values())
        case "seconds" | "tokens" | "calls" | "rows":
            return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        case "metrics":
            return isinstance(value, list) and all(isinstance(point, dict) for point in value)
        case "gpus":
            return isinstance(value, list) and all(isinstance(gpu, str) for gpu in value)
        case "started":
            return isinstance(value, str) and _is_time(value)
        case "machine" | "cpu" | "system" | "source":
            return isinstance(value, str)
        case _:
            return True


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


class ResultProvider(ABC):
    """A place outside the store that offers results: a store export or a cache."""

    name: str
    """The name that messages use."""
    required: ClassVar[bool] = True
    """Whether a result that cannot be used is an error. For a cache it is not: the stage runs here instead."""

    @abstractmethod
    def result(self, key: str) -> Result | None:
        """The result of a key, whether or not its files are available."""

    @abstractmethod
    def has_blobs(self, result: Result) -> bool:
        """Whether every file of a result is available."""

    @abstractmethod
    def fetch(self, sha256: str, path: Path) -> None:
        """Write a blob to a new file. The caller checks the bytes. Raises `UserError` if the blob is unavailable."""

    def why_empty(self) -> str:
        """Why nothing at all can be found here; empty where something may be."""
        return ""

    def damaged(self, sha256: str) -> UserError:
        """The error to raise for a fetched blob that does not match its digest."""
        cause = f"blob {sha256[:12]} of {self.name} does not match its digest"
        return UserError.of("E174", cause, "build without this cache")

    def reject(self, key: str, cause: str, *, planned: bool) -> UserError:
        """The error to raise for a result whose output fails validation.

        Args:
            planned: whether a plan counts on the result already, so that it must be made again.
        """
        cause = f"result {key[:12]} of {self.name} cannot be used: {cause}"
        return UserError.of("E177", cause, "build without this export or cache")
