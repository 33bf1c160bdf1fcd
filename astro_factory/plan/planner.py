"""What a build would do, decided before it does anything.

A node whose inputs are all known has a record and so a key; a key with a result is a hit. Inputs count by content, so a
node below one that must run has no key yet: it is pending, and may still turn out a hit. A hit needs its files only
when somebody who runs reads them, or when it is an end of the graph.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.results import UNBUILT, Plan, PlannedNode, Result, ResultProvider, Status
from astro_factory.plan.changes import changes
from astro_factory.plan.records import make_record, record_key
from astro_factory.runtime.provenance import key_environment, library_versions
from astro_factory.stages import stage_kind
from astro_factory.store import Store
from astro_factory.store.exports import Export

_REASONS = 2
"""Changes that a reason names."""


class Resolver:
    """Gives a node its record, key and result once the content of its inputs is known."""

    def __init__(self, graph: Graph, store: Store, commits: Mapping[str, str], providers: Sequence[ResultProvider]):
        self.graph, self.store, self.commits, self.providers = graph, store, commits, providers
        self.heads = store.heads(graph.name)
        self.environment = key_environment() if graph.strict else None
        self._results: dict[str, Result | None] = {}

    def resolve(self, node: GraphNode, contents: Mapping[str, str]) -> PlannedNode:
        """`core.results.Resolve`: a hit only if its files can be had."""
        with self.store.steady():
            return self.with_files(self.look_up(node, contents))

    def look_up(self, node: GraphNode, contents: Mapping[str, str]) -> PlannedNode:
        """A hit wherever a result is known, with or without its files."""
        if waiting := [name for name in node.references if name not in contents]:
            return PlannedNode(node, Status.PENDING, f"waits for {', '.join(waiting)}")
        if is_open(node) and node.name not in self.commits:
            reason = f"revision '{node.config.revision}' is not locked; only the network can resolve it"
            return PlannedNode(node, Status.PENDING, reason)
        record = self.record(node, contents)
        config = node.config
        if node.name in self.commits:
            config = config.model_copy(update={"revision": self.commits[node.name]})
        return self._found(PlannedNode(node, Status.RUN, "", record_key(record), record, config=config))

    def record(self, node: GraphNode, contents: Mapping[str, str]) -> dict[str, Any]:
        return make_record(node, contents, self.commits, self.environment)

    def _found(self, planned: PlannedNode) -> PlannedNode:
        """The node as a hit or an import, if there is a result of its key, here or in a provider."""
        if here := self.store.result(planned.key):
            if not self.store.has_blobs(here):
                return replace(planned, status=Status.HIT, reason="in the store, without its files", result=here)
            if not self._intact(planned, here):
                return replace(planned, reason="what it made elsewhere is gone")
            reason = "in the store" + _other_versions(planned.node, here)
            return replace(planned, status=Status.HIT, reason=reason, result=here)
        for provider in self.providers:
            if result := provider.result(planned.key):
                return _from(provider, replace(planned, result=result))
        return self._explained(planned)

    def with_files(self, planned: PlannedNode) -> PlannedNode:
        """A hit or an import as one whose files can be had, here or from a provider; a run if they cannot."""
        if planned.result is None or self.store.has_blobs(planned.result):
            return planned
        for provider in self.providers:
            offered = provider.result(planned.key)
            if offered and offered.content == planned.result.content and provider.has_blobs(offered):
                return _from(provider, planned)
        return replace(planned, status=Status.RUN, reason="its files are not in this store", result=None, provider=None)

    def _explained(self, planned: PlannedNode) -> PlannedNode:
        """A node that must run, with the reason."""
        name = self.last_name(planned.node)
        if name is None:
            return replace(planned, reason="never built")
        previous = self.last(planned.node)
        if previous is None:
            return replace(planned, reason="its last result is gone")
        moved = tuple(changes(previous.record, planned.record, planned.node))
        more = f" (+{len(moved) - _REASONS} more)" if len(moved) > _REASONS else ""
        return replace(planned, reason="; ".join(map(str, moved[:_REASONS])) + more, changes=moved)

    def last_name(self, node: GraphNode) -> str | None:
        """Under which name the spec's last build had it: its own or, of a variant of a sweep, the stage's."""
        return next((name for name in (node.name, node.name.partition("[")[0]) if name in self.heads), None)

    def last(self, node: GraphNode) -> Result | None:
        """What the spec's last build gave for it."""
        key = self.heads.get(self.last_name(node) or "", "")
        if key not in self._results:  # the variants of a sweep all ask for the same
            self._results[key] = self.store.result(key)
        return self._results[key]

    def _intact(self, planned: PlannedNode, result: Result) -> bool:
        """Whether what a stage made outside the store is still there, as far as its kind can tell."""
        kind = stage_kind(planned.node.module)
        return "intact" not in kind.hooks or kind.intact(planned.config, self.store.output(result))


def make_plan(
    graph: Graph,
    store: Store,
    *,
    targets: Collection[str] | None = None,
    commits: Mapping[str, str] | None = None,
    use_imports: bool = True,
    caches: Sequence[ResultProvider] = (),
) -> Plan:
    """Plan the targets and all they depend on; without targets, all stages and publications.

    What is not in the store is looked for in the spec's imports and then in `caches`.
    """
    imports = [Export(Path(path)) for path in graph.imports] if use_imports else []
    resolver = Resolver(graph, store, commits or {}, (*imports, *caches))
    wanted = graph.wanted(targets)
    planned: dict[str, PlannedNode] = {}
    contents: dict[str, str] = {}
    with store.steady():
        for name, node in graph.nodes.items():
            if name in wanted:
                planned[name] = resolver.look_up(node, contents)
                if planned[name].result is not None:
                    contents[name] = planned[name].result.content
        ends = set(targets) if targets is not None else wanted - {r for n in wanted for r in graph.nodes[n].references}
        _ask_for_files(planned, ends, resolver)
    return Plan(graph, planned, resolver.resolve)


def _ask_for_files(planned: dict[str, PlannedNode], ends: Collection[str], resolver: Resolver) -> None:
    """See that files can be had where somebody needs them, or run. Followers come first."""
    needed = set(ends)
    for name in reversed(planned):
        item = planned[name]
        if name in needed:
            item = planned[name] = resolver.with_files(item)
        elif item.status is Status.IMPORT:
            item = planned[name] = replace(item, whole=False)
        if item.status in UNBUILT:
            needed.update(item.node.references)


def _other_versions(node: GraphNode, result: Result) -> str:
    """What of the environment that made a model's result is another one here; versions are in no key."""
    if not node.heavy:
        return ""
    theirs, ours = result.provenance.get("versions", {}), library_versions()
    other = [f"{name} {theirs[name]}" for name in ours if theirs.get(name, ours[name]) != ours[name]]
    return f", made with {', '.join(other)}" if other else ""


def _from(provider: ResultProvider, planned: PlannedNode) -> PlannedNode:
    return replace(planned, status=Status.IMPORT, reason=f"in {provider.name}", provider=provider)


def is_open(node: GraphNode) -> bool:
    """Whether the node names a Hub revision that is not a commit."""
    revision = getattr(node.config, "revision", None)
    return isinstance(revision, str) and not (len(revision) == 40 and set(revision) <= set("0123456789abcdef"))
