"""Your own problems, from a JSON Lines, JSON, CSV or Parquet file."""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import field_validator

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import LATER, NOT_SEMANTIC, FileField
from astro_factory.core.context import Events, StageContext
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.problems import Problem
from astro_factory.stages.problems.from_rows import check_first_rows, read_problems, write_problems
from astro_factory.stages.problems.rows import RowsConfig, check_verifier
from astro_factory.stages.problems.table_files import SUFFIXES, first_rows, read_rows

OUTPUT = ArtifactType.PROBLEMS
VERSION = 3
HEAVY = False


class Config(RowsConfig):
    kind: Literal["file"]
    redistribute: Annotated[bool, NOT_SEMANTIC] = True
    """Whether a publication may contain a copy of the file. If not, its digest stands in, and the card says so."""
    path: FileField
    """The file, relative to the spec's folder, ending in .jsonl, .json (a list), .csv, .tsv or .parquet. The delimiter
    of a table is detected."""
    encoding: Annotated[str, LATER] = ""
    """Encoding of the file, such as `cp1252`. Default: UTF-8, or UTF-16 if the file starts with its mark."""

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return name and codecs.lookup(name).name
        except LookupError:
            raise ValueError(f"there is no encoding '{name}'; write utf-8, utf-16, latin-1 or cp1252") from None


def check(config: Config, files: Mapping[str, str]) -> list[Diagnostic]:
    """A file whose format is unknown, an unknown verifier, and what the first rows show."""
    if Path(config.path).suffix not in SUFFIXES:
        choices = ", ".join(SUFFIXES)
        return [Diagnostic("E426", f"'{config.path}' has no known format", f"use a file ending in {choices}")]
    return check_verifier(config.verifier) or _first_faults(config, files.get(config.path))


def _first_faults(config: Config, path: str | None) -> list[Diagnostic]:
    if path is None:
        return []
    try:
        if (rows := first_rows(Path(path), config.path, config.encoding)) is not None:
            check_first_rows(rows, config, config.path)
    except UserError as error:
        return error.diagnostics
    except OSError:
        return []  # the plan reports a file that cannot be read
    return []


def read(config: Config, path: Path, events: Events) -> list[Problem]:
    """The problems of the file. Raises `UserError` E421 to E427."""
    return read_problems(read_rows(path, config.path, events.log, config.encoding), config, config.path, events)


def run(ctx: StageContext, config: Config) -> None:
    rows = read_rows(ctx.inputs[config.path], config.path, ctx.events.log, config.encoding)
    write_problems(ctx, rows, config, config.path)
