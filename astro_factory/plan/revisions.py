"""Hub revisions: a branch or tag is *open*, and a plan needs the commit that it points to."""

from typing import Protocol, runtime_checkable

from astro_factory.core.graph import GraphNode


@runtime_checkable
class HubConfig(Protocol):
    """A config that names a repository of the Hub."""

    @property
    def repo(self) -> str: ...

    @property
    def revision(self) -> str: ...


def open_revision(node: GraphNode) -> HubConfig | None:
    """The config of a node whose Hub revision is a branch or tag; None for every other node."""
    config = node.config
    return config if isinstance(config, HubConfig) and not _is_commit(config.revision) else None


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and set(revision) <= set("0123456789abcdef")
