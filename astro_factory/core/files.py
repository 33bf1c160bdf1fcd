"""Checks paths that a user wrote. A path that no file system can represent counts as missing."""

from pathlib import Path
from typing import Literal


def kind_of(path: Path) -> Literal["file", "folder"] | None:
    """Whether the path is a file or a folder, or None if it does not exist."""
    try:
        return "file" if path.is_file() else "folder" if path.is_dir() else None
    except (OSError, ValueError):  # name too long, null character, unreadable folder
        return None
