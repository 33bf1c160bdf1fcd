"""The lock file beside a spec: what it names outside itself, as it was when it was locked.

Every Hub revision that the spec names by branch is resolved to a commit once; a commit is only ever written after the
Hub named it, and offline a revision that is not locked stays open. `astro-factory lock` adds a digest of every file,
template and store export that the spec reads, which `--locked` compares. An entry is a line:

    {"models/org/model@main": "<commit>", "templates/reflection/paper.jinja": "<sha256>", "files/problems.jsonl": …}
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from astro_factory.core.canonical import file_digest
from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, UserError, near, shown
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.plan.planner import is_open
from astro_factory.plan.records import path_digest
from astro_factory.store.files import write_atomic

_PATIENCE_S = 20.0


def commits_for(graph: Graph, *, offline: bool = False, locked: bool = False) -> dict[str, str]:
    """Node name to commit, for the open revisions. Offline and `locked` ask nothing; the first leaves what is missing
    open, the second refuses it. Raises `UserError` E140 to E143."""
    if locked:
        check_locked(graph)
    return locked_commits(graph) if offline or locked else resolve_commits(graph)


def locked_commits(graph: Graph) -> dict[str, str]:
    """Node name to commit, for the open revisions that the lock file already resolves."""
    table = _read(graph)
    return {name: table[_entry(node)] for name, node in graph.nodes.items() if is_open(node) and _entry(node) in table}


def resolve_commits(graph: Graph) -> dict[str, str]:
    """`locked_commits`, with what is missing asked of the Hub and added to the lock file. Raises `UserError` E140."""
    table = _read(graph)
    if missing := [node for node in _open_nodes(graph) if _entry(node) not in table]:
        _write(graph, table | _asked(missing))
    return locked_commits(graph)


def check_locked(graph: Graph) -> None:
    """Raises `UserError` E143 with everything that is not as the lock file has it."""
    table, outside = _read(graph), _outside(graph)
    found = [
        Diagnostic("E143", f"{_entry(node)} is not locked", "run `astro-factory lock`", node.place)
        for node in _open_nodes(graph)
        if _entry(node) not in table
    ]
    for name, sha256 in outside.items():
        if name not in table:
            found.append(Diagnostic("E143", f"{name} is not locked", "run `astro-factory lock`"))
        elif table[name] != sha256:
            cause = f"{name} is not what was locked ({table[name]:.12} then, {sha256:.12} now)"
            found.append(Diagnostic("E143", cause, "restore it, or run `astro-factory lock` to take it as it is"))
    if found:
        raise UserError(*dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Moved:
    """An entry that is new in the lock file or has another value now."""

    name: str
    old: str | None
    new: str

    def __str__(self) -> str:
        return f"{self.name}: {f'{self.old:.12} -> ' if self.old else ''}{self.new:.12}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def refresh(graph: Graph, update: Collection[str] = ()) -> list[Moved]:
    """Lock what is not locked, take files as they are, and ask anew for the revisions of the nodes named by `update`.

    Entries that the spec does not name now stay: a profile may. Raises `UserError` E140, E142, E144.
    """
    table = _read(graph)
    again = [_named(graph, name) for name in update]
    missing = [node for node in _open_nodes(graph) if _entry(node) not in table]
    fresh = table | _asked([*missing, *again]) | _outside(graph)
    moved = [Moved(name, table.get(name), value) for name, value in fresh.items() if table.get(name) != value]
    if moved:
        _write(graph, fresh)
    return sorted(moved, key=lambda entry: entry.name)


def _named(graph: Graph, name: str) -> GraphNode:
    """A node with an open revision, by its name."""
    offered = {node.name: node for node in graph.nodes.values() if is_open(node)}
    if name not in offered:
        cause = f"'{name}' names no model or problem set with a Hub revision that can move"
        raise UserError.of(
            "E144", cause, near(name, offered) or "the spec has none: all are commits, or not of the Hub"
        )
    return offered[name]


def _open_nodes(graph: Graph) -> list[GraphNode]:
    """What a build needs of what names a Hub revision by branch."""
    wanted = graph.wanted()
    return [node for name, node in graph.nodes.items() if name in wanted and is_open(node)]


def _entry(node: GraphNode) -> str:
    """What is locked: one line for each repository and revision."""
    return f"{node.section}/{node.config.repo}@{node.config.revision}"


def _outside(graph: Graph) -> dict[str, str]:
    """Digests of everything outside the spec that a build reads."""
    wanted, found = graph.wanted(), {}
    for name in wanted:
        node = graph.nodes[name]
        found |= {f"files/{path}": path_digest(Path(target)) for path, target in node.files.items()}
        for path, text in _templates(node.config):
            found[f"templates/{path}"] = hashlib.sha256(text.encode()).hexdigest()
    found |= {f"imports/{Path(path).name}": file_digest(Path(path)) for path in graph.imports}
    return dict(sorted(found.items()))


def _templates(value: Any) -> Iterator[tuple[str, str]]:
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
        raise UserError.of("E141", f"'{path.name}' is no lock file", "restore it, or delete it to lock anew")
    return table


def _write(graph: Graph, table: Mapping[str, str]) -> None:
    path = Path(graph.lock_path)
    try:
        write_atomic(path, (json.dumps(table, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        cause = f"cannot write the lock file '{shown(path)}': {error.strerror or error}"
        raise UserError.of("E142", cause, "make its folder writable, or copy the spec to one that is") from None


def _asked(nodes: Collection[GraphNode]) -> dict[str, str]:
    """The commits of the nodes' revisions, each asked for once."""
    return {entry: _ask(node) for entry, node in {_entry(node): node for node in nodes}.items()}


def _ask(node: GraphNode) -> str:
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
