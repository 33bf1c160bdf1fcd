"""One checker for file names in data from strangers: publications, caches, store exports, stores elsewhere.

A name is a relative path with `/`. It is refused if a file system or tool gives it a special meaning: it would leave
its folder, configure a repository (a `.git` folder can run commands on `git status`), open a device, or collide with
another name.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

_MAX_BYTES = 1024
"""Longest path, in bytes of UTF-8."""
_MAX_COMPONENT_BYTES = 255
"""Longest component: the limit of most file systems."""
_SPECIAL_FOLDERS = re.compile(r"\.git|git~\d+|\.cache")
"""`git~1` is the short name of `.git` on Windows; huggingface_hub keeps its own state in `.cache`."""
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(\..*)?")
_WINDOWS = frozenset('<>:"|?*')


def name_fault(path: str) -> str | None:
    """Why a name is refused, or None."""
    if not path or "\\" in path or path.startswith("/"):
        return "it is not a relative path"
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in path):
        return "it contains control characters"
    if len(path.encode()) > _MAX_BYTES:
        return "it is too long"
    for component in path.split("/"):
        folded = unicodedata.normalize("NFKC", component).casefold()
        if component in ("", ".", ".."):
            return "it has an empty component, '.' or '..'"
        if len(component.encode()) > _MAX_COMPONENT_BYTES:
            return "it is too long"
        if component[-1] in ". " or _WINDOWS & set(component):
            return f"'{component}' is not a portable file name"
        if _SPECIAL_FOLDERS.fullmatch(folded):
            return f"'{component}' is reserved for tools"
        if _DEVICES.fullmatch(folded):
            return f"'{component}' is a device on Windows"
    return None


def names_fault(paths: Iterable[str]) -> str | None:
    """Why some names cannot stand together in one folder, with the first such name, or None."""
    files: dict[str, str] = {}
    for path in paths:
        if fault := name_fault(path):
            return f"'{_shown(path)}': {fault}"
        if (other := files.setdefault(_folded(path), path)) != path:
            return f"'{_shown(path)}': it differs from '{_shown(other)}' only by case or spelling"
    folders: dict[str, str] = {}
    for path in files.values():
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if _folded(folder) in files:
                return f"'{_shown(folder)}': it is both a file and a folder"
            if (other := folders.setdefault(_folded(folder), folder)) != folder:
                return f"'{_shown(folder)}': it differs from '{_shown(other)}' only by case or spelling"
    return None


def regular_file(folder: Path, path: str) -> Path | None:
    """The file with a checked name in a folder; None if it is missing, not a regular file, or reached by a link."""
    place = folder
    for component in path.split("/"):
        place = place / component
        if place.is_symlink():
            return None
    return place if place.is_file() else None


def _folded(path: str) -> str:
    """Equal for names that a case-insensitive or normalizing file system confuses."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())


def _shown(path: str) -> str:
    """A name for a message: printable, and at most 80 characters."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in path)
    return text if len(text) <= 80 else text[:77] + "..."
