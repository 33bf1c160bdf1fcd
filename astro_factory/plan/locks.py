"""The lock file beside a spec: the state of everything that the spec refers to outside itself.

Every Hub revision that the spec names by branch or tag is resolved to a commit once. Only commits that the Hub returned
are ever written; offline, a revision that is not locked stays open. `astro-factory lock` adds a digest of every file,
template and store export that the spec reads, and `--locked` compares them. An entry is a line:

    {"models/org/model@main": "<commit>", "templates/reflection/paper.jinja": "<sha256>", "files/problems.jsonl": …}
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel

from astro_factory.core.canonical import file_digest, path_digest
from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, UserError, near, shown
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.plan.revisions import open_revision
from astro_factory.store.files import write_atomic

_TIMEOUT_S = 20.0


def commits_for(graph: Graph, *, offline: bool = False, locked: bool = False) -> dict[str, str]:
    """The commit of every open revision, by node. Raises `UserError` E140 to E143.

    `offline` and `locked` never contact the Hub; with the first, a revision that is not locked stays open, with the
    second it is an error.
    """
    if locked:
        check_locked(graph)
    return locked_commits(graph) if offline or locked else resolve_commits(graph)


def locked_commits(graph: Graph) -> dict[str, str]:
    """The commit of every open revision that the lock file resolves, by node."""
    table = _read(graph)
    return {name: table[entry] for name, node in graph.nodes.items() if (entry := _entry(node)) in table}


def resolve_commits(graph: Graph) -> dict[str, str]:
    """`locked_commits` after resolving what is missing on the Hub and adding it to the lock file.

    Raises `UserError` E140.
    """
    table = _read(graph)
    if missing := [node for node in _open_nodes(graph) if _entry(node) not in table]:
        _write(graph, table | _resolve_all(missing))
    return locked_commits(graph)


def check_locked(graph: Graph) -> None:
    """Raises one `UserError` E143 with everything that differs from the lock file."""
    table, digests = _read(graph), _external_digests(graph)
    found = [
        Diagnostic("E143", f"{_entry(node)} is not locked", "run `astro-factory lock`", node.place)
        for node in _open_nodes(graph)
        if _entry(node) not in table
    ]
    for name, sha256 in digests.items():
        if name not in table:
            found.append(Diagnostic("E143", f"{name} is not locked", "run `astro-factory lock`"))
        elif table[name] != sha256:
            cause = f"{name} differs from the lock file ({table[name]:.12} locked, {sha256:.12} now)"
            found.append(Diagnostic("E143", cause, "restore it, or run `astro-factory lock` to accept the change"))
    if found:
        raise UserError(*dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class LockChange:
    """An entry of the lock file that is new or has a new value."""

    name: str
    old: str | None
    new: str

    def __str__(self) -> str:
        return f"{self.name}: {f'{self.old:.12} -> ' if self.old else ''}{self.new:.12}"

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def refresh(graph: Graph, update: Collection[str] = ()) -> list[LockChange]:
    """Lock what is not locked, update the digests of files, and resolve the nodes named by `update` again.

    Entries that the spec does not use now stay: a profile may use them. Raises `UserError` E140, E142, E144.
    """
    table = _read(graph)
    again = [_updatable(graph, name) for name in update]
    missing = [node for node in _open_nodes(graph) if _entry(node) not in table]
    new = table | _resolve_all([*missing, *again]) | _external_digests(graph)
    found = [LockChange(name, table.get(name), value) for name, value in new.items() if table.get(name) != value]
    if found:
        _write(graph, new)
    return sorted(found, key=lambda change: change.name)


def _updatable(graph: Graph, name: str) -> GraphNode:
    """The node of a name that the user wants to update."""
    offered = {node.name: node for node in graph.nodes.values() if open_revision(node)}
    if name not in offered:
        cause = f"'{name}' is no model or problem set whose Hub revision is a branch or tag"
        raise UserError.of("E144", cause, near(name, offered) or "the spec has none, so there is nothing to update")
    return offered[name]


def _open_nodes(graph: Graph) -> list[GraphNode]:
    """The nodes with open revisions that a build needs."""
    wanted = graph.wanted()
    return [node for name, node in graph.nodes.items() if name in wanted and open_revision(node)]


def _entry(node: GraphNode) -> str:
    """The name of a node's entry: one per repository and revision; empty for a node without an open revision."""
    hub = open_revision(node)
    return f"{node.section}/{hub.repo}@{hub.revision}" if hub else ""


def _external_digests(graph: Graph) -> dict[str, str]:
    """Digests of all files outside the spec that a build reads."""
    found: dict[str, str] = {}
    for name in graph.wanted():
        node = graph.nodes[name]
        found |= {f"files/{path}": path_digest(Path(target)) for path, target in node.files.items()}
        for path, text in _templates(node.config):
            found[f"templates/{path}"] = hashlib.sha256(text.encode()).hexdigest()
    found |= {f"imports/{Path(path).name}": file_digest(Path(path)) for path in graph.imports}
    return dict(sorted(found.items()))


def _templates(value: object) -> Iterator[tuple[str, str]]:
    """Path and text of every template file in a config."""
    if isinstance(value, TemplateSource):
        yield from value.sources.items()
    elif isinstance(value, BaseModel | Mapping):
        for inner in (vars(value) if isinstance(value, BaseModel) else value).values():
            yield from _templates(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _templates(inner)


def _read(graph: Graph) -> dict[str, str]:
    path = Path(graph.lock_path)
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        table = None
    if not isinstance(table, dict) or not all(isinstance(commit, str) for commit in table.values()):
        raise UserError.of("E141", f"'{path.name}' is not a lock file", "restore it, or delete it to create a new one")
    return table


def _write(graph: Graph, table: Mapping[str, str]) -> None:
    path = Path(graph.lock_path)
    try:
        write_atomic(path, (json.dumps(table, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        cause = f"cannot write the lock file '{shown(path)}': {error.strerror or error}"
        raise UserError.of("E142", cause, "make its folder writable, or copy the spec to one that is") from None


def _resolve_all(nodes: Collection[GraphNode]) -> dict[str, str]:
    """The commits of the nodes' revisions by entry; each is looked up once."""
    return {entry: _resolve(node) for entry, node in {_entry(node): node for node in nodes}.items()}


def _resolve(node: GraphNode) -> str:
    from astro_factory.hub.client import as_user_error, hub_client

    kind, hub = "model" if node.section == "models" else "dataset", open_revision(node)
    assert hub is not None
    try:
        commit = hub_client().repo_info(hub.repo, revision=hub.revision, repo_type=kind, timeout=_TIMEOUT_S).sha
        if commit is None:
            raise ValueError("the answer names no commit")
        return commit
    except Exception as error:
        known = as_user_error(error, hub.repo)
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        reason = known.diagnostics[0].cause if isinstance(known, UserError) else first_line
        cause = f"cannot look up {hub.repo}@{hub.revision} on the Hub: {reason:.200}"
        remedy = "check the name, your access and the network; `plan --offline` shows what does not need it"
        raise UserError.of("E140", cause, remedy, node.place) from None
