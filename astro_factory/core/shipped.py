"""The specs, templates and pages that come with the package, found in a checkout and in an installed wheel alike."""

import shutil
from pathlib import Path
from typing import Literal

from astro_factory.core.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
_IN_WHEEL, _IN_CHECKOUT = _PACKAGE / "_data", _PACKAGE.parent


def shipped_folder(name: Literal["specs", "templates", "docs"]) -> Path:
    """The folder as shipped; only ever read. Of `docs`, what the program itself prints."""
    return (_IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT) / name


def make_workspace(target: Path) -> list[Path]:
    """Copy `specs/` and `templates/` into a new folder that the user edits; returns the files written, sorted.

    `specs/my_problems.yaml` and the `specs/problems.jsonl` it reads are the ones to begin with.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError.of("E154", f"{target} exists and is not an empty folder", "name a new folder")
    for name in ("specs", "templates"):
        shutil.copytree(shipped_folder(name), target / name, dirs_exist_ok=True)
    return sorted(path for path in target.rglob("*") if path.is_file())
