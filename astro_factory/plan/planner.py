"""Decides what a build would do, before it does anything.

A node whose inputs all have results has a record and therefore a key; a key with a result is a hit. Inputs count by
content, so a node below one that must run is pending: it has no key yet and may still become a hit. A hit needs its
files only if a stage that runs reads them, or if it is a target of the build.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from astro_factory.core.config import StageConfig
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.plans import Hit, Import, Pending, Plan, PlannedNode, ToRun
from astro_factory.core.results import Record, Result, ResultProvider
from astro_factory.core.versions import library_versions
from astro_factory.plan.changes import changes
from astro_factory.plan.records import lineage, make_record, record_key
from astro_factory.plan.revisions import open_revision
from astro_factory.runtime.provenance import key_environment
from astro_factory.stages import stage_kind
from astro_factory.stages.validation import output_fault
from astro_factory.store import Store
from astro_factory.store.exports import Export


class Resolver:
    """Finds the record, key and result of a node once the content of its inputs is known."""

    def __init__(self, graph: Graph, store: Store, commits: Mapping[str, str], providers: Sequence[ResultProvider]):
        self.graph, self.store, self.commits, self.providers = graph, store, commits, providers
        self.heads = store.heads(graph.name)
        self.environment = key_environment() if graph.strict else None
        self._results: dict[str, Result | None] = {}

    def resolve(self, node: GraphNode, contents: Mapping[str, str]) -> PlannedNode:
        """`core.plans.Resolve`: a hit only if its files are available."""
        with self.store.gc_paused():
            return self.with_files(self.look_up(node, contents))

    def look_up(self, node: GraphNode, contents: Mapping[str, str]) -> PlannedNode:
        """The state of a node; a result makes it a hit or an import even if its files are unavailable."""
        if waiting := [name for name in node.references if name not in contents]:
            return Pending(node, f"waits for {', '.join(waiting)}")
        if (hub := open_revision(node)) and node.name not in self.commits:
            return Pending(node, f"revision '{hub.revision}' is not locked; only the network can resolve it")
        record = self.record(node, contents)
        key = record_key(record)
        if result := self.store.result(key):
            if not self.store.has_blobs(result):
                return Hit(node, "in the store, without its files", result)
            if not self._intact(node, result):
                return self._to_run(node, "what it published is gone", key, record)
            return Hit(node, "in the store" + _other_versions(node, result), result)
        for provider in self._providers(node):
            if result := self._offered(provider, key):
                return _import(node, result, provider)
        return self._explained(self._to_run(node, "never built", key, record))

    def record(self, node: GraphNode, contents: Mapping[str, str | None]) -> Record:
        return make_record(node, contents, self.commits, self.environment)

    def with_files(self, item: PlannedNode) -> PlannedNode:
        """A hit or an import whose files are available, here or from a provider; without them it must run."""
        if isinstance(item, Pending | ToRun) or self.store.has_blobs(item.result):
            return item
        for provider in self._providers(item.node):
            offered = self._offered(provider, item.key)
            if offered and offered.content == item.result.content and provider.has_blobs(offered):
                return _import(item.node, item.result, provider)
        return self._to_run(item.node, "its files are not in this store", item.key, item.result.record)

    def _providers(self, node: GraphNode) -> Sequence[ResultProvider]:
        """Where a node's result may come from; only this machine can know that it has published something."""
        return () if node.section == "publish" else self.providers

    def _offered(self, provider: ResultProvider, key: str) -> Result | None:
        """A provider's result if its output has the files that its type needs. Raises `UserError` E177."""
        result = provider.result(key)
        if result and (fault := output_fault(result)):
            error = provider.reject(key, fault, planned=False)
            if provider.required:
                raise error
            return None
        return result

    def _to_run(self, node: GraphNode, reason: str, key: str, record: Record) -> ToRun:
        return ToRun(node, reason, key, record, self._config(node), lineage(node, record))

    def _config(self, node: GraphNode) -> StageConfig:
        """The config to run with, its Hub revision pinned to a commit."""
        commit = self.commits.get(node.name)
        return node.config.model_copy(update={"revision": commit}) if commit else node.config

    def _explained(self, item: ToRun) -> ToRun:
        """A node that was never built or, if its spec was built before, with what changed since."""
        if self.last_name(item.node) is None:
            return item
        previous = self.last(item.node)
        if previous is None:
            return replace(item, reason="its last result is gone")
        found = tuple(changes(previous.record, item.record, item.node))
        first, count = found[0], len(found)
        reason = str(first) if count == 1 else f"{first.text} (+{count - 1} more)"
        return replace(item, reason=reason, changes=found)

    def last_name(self, node: GraphNode) -> str | None:
        """The node's name in the spec's last build: its own or, for a variant of a sweep, that of the stage."""
        return next((name for name in (node.name, node.name.partition("[")[0]) if name in self.heads), None)

    def last(self, node: GraphNode) -> Result | None:
        """The node's result in the spec's last build."""
        key = self.heads.get(self.last_name(node) or "", "")
        if key not in self._results:  # all variants of a sweep look up the same key
            self._results[key] = self.store.result(key)
        return self._results[key]

    def _intact(self, node: GraphNode, result: Result) -> bool:
        """Whether what a stage wrote outside the store still exists, if its kind can check that."""
        kind = stage_kind(node.module)
        return "intact" not in kind.hooks or kind.intact(self._config(node), self.store.output(result))


def last_results(graph: Graph, store: Store) -> dict[str, Result]:
    """The result of each node in the spec's last build, as far as the store has it."""
    resolver = Resolver(graph, store, {}, ())
    return {name: result for name, node in graph.nodes.items() if (result := resolver.last(node))}


def make_plan(
    graph: Graph,
    store: Store,
    *,
    targets: Collection[str] | None = None,
    commits: Mapping[str, str] | None = None,
    use_imports: bool = True,
    caches: Sequence[ResultProvider] = (),
) -> Plan:
    """Plan the targets and everything they depend on; the default targets are all stages and publications.

    Results that are not in the store are looked up in the spec's imports, then in `caches`.
    """
    imports = [Export(Path(path)) for path in graph.imports] if use_imports else []
    resolver = Resolver(graph, store, commits or {}, (*imports, *caches))
    wanted = graph.wanted(targets)
    planned: dict[str, PlannedNode] = {}
    contents: dict[str, str] = {}
    with store.gc_paused():
        for name, node in graph.nodes.items():
            if name in wanted:
                item = planned[name] = resolver.look_up(node, contents)
                if item.result is not None:
                    contents[name] = item.result.content
        ends = set(targets) if targets is not None else wanted - {r for n in wanted for r in graph.nodes[n].references}
        _require_files(planned, ends, resolver)
    return Plan(graph, planned, resolver.resolve)


def _require_files(planned: dict[str, PlannedNode], ends: Collection[str], resolver: Resolver) -> None:
    """Make sure that the files of the ends, and of everything that a stage will read, are available or get built."""
    needed = set(ends)
    for name in reversed(planned):  # followers first
        item = planned[name]
        if name in needed:
            item = planned[name] = resolver.with_files(item)
        elif isinstance(item, Import):
            item = planned[name] = replace(item, with_files=False)
        if isinstance(item, Pending | ToRun):
            needed.update(item.node.references)


def _other_versions(node: GraphNode, result: Result) -> str:
    """Which library versions made a model's result, where they differ from the installed ones; they are in no key."""
    if not node.heavy:
        return ""
    theirs, ours = result.provenance.get("versions", {}), library_versions()
    other = [f"{name} {theirs[name]}" for name in ours if theirs.get(name, ours[name]) != ours[name]]
    return f", made with {', '.join(other)}" if other else ""


def _import(node: GraphNode, result: Result, provider: ResultProvider) -> Import:
    return Import(node, f"in {provider.name}", result, provider)
