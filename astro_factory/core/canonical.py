"""Canonical JSON and digests of it: equal values give equal bytes on every machine."""

import hashlib
import json
from pathlib import Path

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""Created once: `json.dumps` creates an encoder for every value, which takes longer than encoding a short one."""


def canonical_json(value: object) -> bytes:
    """Sorted keys, no white space, UTF-8, no NaN. Floats print as Python's shortest round-trip form."""
    return _encode(value).encode()


def digest(value: object) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seed_for(*parts: object) -> int:
    """A 63-bit seed for a purpose, as in `seed_for(config.seed, "search", problem.id, sample)`.

    It depends on nothing else, so neither the order of work nor the number of workers can change a sample.
    """
    return int(digest(list(parts))[:16], 16) >> 1


def path_digest(target: Path) -> str:
    """Digest of a file's bytes, or of the names and bytes of a folder's files. Raises `OSError`."""
    if target.is_dir():
        inside = sorted(path for path in target.rglob("*") if path.is_file())
        return digest({path.relative_to(target).as_posix(): file_digest(path) for path in inside})
    return file_digest(target)
