"""Finds the specs, templates and pages that ship with the package, in a checkout or an installed wheel."""

import shutil
from pathlib import Path
from typing import Literal

from astro_factory.core.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
_IN_WHEEL, _IN_CHECKOUT = _PACKAGE / "_data", _PACKAGE.parent


def shipped_folder(name: Literal["specs", "templates", "docs"]) -> Path:
    """The shipped folder, which is read-only. `docs` contains the pages that the program prints."""
    return (_IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT) / name


def versions_tested(vllm: bool) -> dict[str, str]:
    """The versions that the tests ran with, by the names of packages: the shipped constraints, with or without vLLM."""
    file = shipped_folder("specs").parent / ("constraints-vllm.txt" if vllm else "constraints.txt")
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def make_workspace(target: Path) -> list[Path]:
    """Copy `specs/` and `templates/` into a new folder for the user to edit; returns the written files, sorted.

    The files to start with are `specs/my_problems.yaml` and its `specs/problems.jsonl`. Raises `UserError` E154.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError.of("E154", f"{target} exists and is not an empty folder", "name a new folder")
    for name in ("specs", "templates"):
        shutil.copytree(shipped_folder(name), target / name, dirs_exist_ok=True)
    return sorted(path for path in target.rglob("*") if path.is_file())
