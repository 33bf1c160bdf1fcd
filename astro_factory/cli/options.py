"""Options that several commands share, and the little they do with them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from astro_factory.core.graph import Graph
from astro_factory.spec import compile_spec
from astro_factory.store import Store

SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec, a YAML file.", show_default=False)]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of the store [default: $ASTRO_STORE, else .astro].", show_default=False),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B.C=VALUE", help="Override a value; may be repeated.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="Apply a profile of the spec.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for machines.")]
NoImportOption = Annotated[bool, typer.Option("--no-import", help="Rebuild what the spec offers as a store export.")]


def open_store(folder: Path | None) -> Store:
    return Store((folder or Path(os.environ.get("ASTRO_STORE") or ".astro")).absolute())


def read_graph(spec: Path, sets: Sequence[str] | None, profile: str | None) -> Graph:
    return compile_spec(spec, sets=sets or (), profile=profile)


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))
