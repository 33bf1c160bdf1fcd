"""The `config.json` of Hub models, from which a plan predicts memory; weights are not downloaded."""

from contextlib import suppress

from astro_factory.core.errors import UserError
from astro_factory.core.graph import Graph
from astro_factory.stages.models import hub


def fetch_configs(graph: Graph) -> None:
    """Download what is neither known nor in the Hub's cache. A model that cannot be reached gets no prediction."""
    unknown = [
        node.config
        for node in graph.nodes.values()
        if isinstance(node.config, hub.Config) and hub.shape(node.config, {}) is None
    ]
    for config in unknown:
        _fetch(config)


def _fetch(config: hub.Config) -> None:
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    from astro_factory.hub.client import hub_client

    with suppress(HfHubHTTPError, LocalEntryNotFoundError, UserError, OSError):
        hub_client().hf_hub_download(config.repo, "config.json", revision=config.revision)
