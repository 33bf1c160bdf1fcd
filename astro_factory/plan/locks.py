"""The lock file: every Hub revision that a spec names by branch, resolved to a commit once and kept beside the spec.

A commit is only ever written after the Hub named it. Offline, a revision that is not locked stays open.
"""

import json
from pathlib import Path

from astro_factory.core.errors import UserError
from astro_factory.core.graph import Graph, Node
from astro_factory.plan.planner import is_open


def locked_commits(graph: Graph) -> dict[str, str]:
    """Node name to commit, for the open revisions that the lock file already resolves."""
    table = _read(Path(graph.lock_path))
    return {name: table[_entry(node)] for name, node in graph.nodes.items() if is_open(node) and _entry(node) in table}


def resolve_commits(graph: Graph) -> dict[str, str]:
    """`locked_commits`, with what is missing asked of the Hub and added to the lock file. Raises `UserError` E140."""
    commits = locked_commits(graph)
    missing = {name: node for name, node in graph.nodes.items() if is_open(node) and name not in commits}
    if not missing:
        return commits
    path = Path(graph.lock_path)
    table = _read(path)
    for name, node in missing.items():
        commits[name] = table[_entry(node)] = _ask(node)
    path.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return commits


def _entry(node: Node) -> str:
    """What is locked: one line for each repository and revision."""
    return f"{node.section}/{node.config.repo}@{node.config.revision}"


def _read(path: Path) -> dict[str, str]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise UserError.of(
            "E141", f"'{path.name}' is not valid JSON", "restore it, or delete it to lock anew"
        ) from None


def _ask(node: Node) -> str:
    from huggingface_hub import HfApi

    kind = "model" if node.section == "models" else "dataset"
    try:
        return HfApi().repo_info(node.config.repo, revision=node.config.revision, repo_type=kind).sha
    except Exception as error:
        cause = (
            f"the Hub could not resolve {node.config.repo}@{node.config.revision}: {str(error).splitlines()[0]:.200}"
        )
        remedy = "check the name and your access, or plan with --offline"
        raise UserError.of("E140", cause, remedy, node.place) from None
