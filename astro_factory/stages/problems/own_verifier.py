"""Which user-defined verifier a table of problems was made with, and the digest of its source.

A table holds only names of verifiers. This mark makes an edited verifier a changed table, and so a changed key of what
judges by it.
"""

from pathlib import Path
from typing import Any

from astro_factory.core.problems import problem_schema
from astro_factory.verifiers.registry import VERIFIERS

_KEY = b"verifier"


def own_verifier(table: Path) -> str:
    """The mark of a table of problems; empty for a built-in verifier."""
    from pyarrow.parquet import read_schema

    mark = (read_schema(table).metadata or {}).get(_KEY, b"").decode()
    return "" if mark.partition(" ")[0] in VERIFIERS.builtin else mark


def schema_like(table: Path) -> Any:
    """The `pyarrow.Schema` of problems that are chosen from a table, with its mark."""
    mark, schema = own_verifier(table), problem_schema()
    return schema.with_metadata({_KEY: mark}) if mark else schema
