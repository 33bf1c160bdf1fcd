"""What a path that a user wrote leads to; a path that no file system can hold leads nowhere."""

from pathlib import Path
from typing import Literal


def kind_of(path: Path) -> Literal["file", "folder"] | None:
    """Whether there is a file or a folder at a path."""
    try:
        return "file" if path.is_file() else "folder" if path.is_dir() else None
    except (OSError, ValueError):  # too long a name, a null character, a folder that may not be read
        return None
