"""Names of places: `org/name` on the Hub, or `file:PATH`."""

import re
from pathlib import Path

FILE = "file:"
_REPO = re.compile(r"(?=.{1,96}$)[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?/[A-Za-z0-9_]([\w.-]*[A-Za-z0-9_])?", re.ASCII)


def is_local(repo: str) -> bool:
    return repo.startswith(FILE)


def invalid_name(repo: str) -> str | None:
    """Why a text is not a repository name on the Hub, or None."""
    if _REPO.fullmatch(repo) and "--" not in repo and ".." not in repo and not repo.endswith(".git"):
        return None
    return f"'{repo}' is not a repository name: use org/name, letters and digits with single - _ . in between"


def invalid_place(repo: str) -> str | None:
    """Why a text names neither a folder nor a repository, or None."""
    if not is_local(repo):
        return invalid_name(repo)
    if repo.removeprefix(FILE).strip("/. "):
        return None
    return f"'{repo}' names no folder of its own, such as file:out/traces"


def public_name(repo: str) -> str:
    """`org/name`, or the last part of a `file:` path: the rest of it belongs to the publisher's machine."""
    return Path(repo.removeprefix(FILE)).name if is_local(repo) else repo


def shared_name(repo: str) -> str:
    """A place as others may read it: of an absolute `file:` path only the last part."""
    path = Path(repo.removeprefix(FILE))
    return f"{FILE}{path.name}" if is_local(repo) and (path.is_absolute() or path.parts[0] == "~") else repo


def place_link(repo: str, model: bool) -> str:
    """A place in Markdown: a link to the repository, or the name of the folder."""
    if invalid_name(repo):
        return f"`{public_name(repo).replace('`', '')}`"
    return f"[{repo}](https://huggingface.co/{'' if model else 'datasets/'}{repo})"
