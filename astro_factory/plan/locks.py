"""The lock file: every Hub revision that a spec names by branch, resolved to a commit once and kept beside the spec.

A commit is only ever written after the Hub named it. Offline, a revision that is not locked stays open.
"""

import json
from pathlib import Path

from astro_factory.core.errors import UserError, shown
from astro_factory.core.graph import Graph, Node
from astro_factory.plan.planner import is_open
from astro_factory.store.files import write_atomic

_PATIENCE_S = 20.0


def locked_commits(graph: Graph) -> dict[str, str]:
    """Node name to commit, for the open revisions that the lock file already resolves."""
    table = _read(Path(graph.lock_path))
    return {name: table[_entry(node)] for name, node in graph.nodes.items() if is_open(node) and _entry(node) in table}


def resolve_commits(graph: Graph) -> dict[str, str]:
    """`locked_commits`, with what is missing asked of the Hub and added to the lock file. Raises `UserError` E140."""
    commits = locked_commits(graph)
    wanted = graph.wanted()
    missing = {name: node for name, node in graph.nodes.items() if name in wanted - set(commits) and is_open(node)}
    if not missing:
        return commits
    found: dict[str, str] = {}
    for node in missing.values():
        if _entry(node) not in found:
            found[_entry(node)] = _ask(node)
    path = Path(graph.lock_path)
    try:
        write_atomic(path, (json.dumps(_read(path) | found, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        cause = f"cannot write the lock file '{shown(path)}': {error.strerror or error}"
        raise UserError.of("E142", cause, "make its folder writable, or copy the spec to one that is") from None
    return commits | {name: found[_entry(node)] for name, node in missing.items()}


def _entry(node: Node) -> str:
    """What is locked: one line for each repository and revision."""
    return f"{node.section}/{node.config.repo}@{node.config.revision}"


def _read(path: Path) -> dict[str, str]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        table = None
    if not isinstance(table, dict) or not all(isinstance(commit, str) for commit in table.values()):
        raise UserError.of("E141", f"'{path.name}' is no lock file", "restore it, or delete it to lock anew")
    return table


def _ask(node: Node) -> str:
    from astro_factory.hub.client import explained, hub_client

    kind = "model" if node.section == "models" else "dataset"
    repo, revision = node.config.repo, node.config.revision
    try:
        return hub_client().repo_info(repo, revision=revision, repo_type=kind, timeout=_PATIENCE_S).sha
    except Exception as error:
        told = explained(error, repo)
        known = isinstance(told, UserError)
        reason = told.diagnostics[0].cause if known else next(iter(str(error).splitlines()), type(error).__name__)
        cause = f"cannot look up {repo}@{revision} on the Hub: {reason:.200}"
        remedy = "check the name, your access and the network; `plan --offline` shows what does not need it"
        raise UserError.of("E140", cause, remedy, node.place) from None
