"""What an export starts from: the stage's settings, its inputs as files, and the model that it trains."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from astro_factory.core.adapters import ADAPTER_WEIGHTS, AdapterConfig, read_adapter
from astro_factory.core.errors import UserError
from astro_factory.core.graph import Graph, GraphNode
from astro_factory.core.models import BASE, POINTER
from astro_factory.training.settings import GRPOSettings, SFTSettings, TrainingConfig

PLACEHOLDER = "model"
"""Where a config expects a model that is not built: a folder in the export."""


@dataclass(frozen=True, slots=True)
class Model:
    """The model that a stage starts from, as other trainers load it."""

    path: str
    """A repository of the Hub or a folder."""
    revision: str = ""
    """The commit of the repository, if it is known."""
    adapter: str = ""
    """Folder of an adapter in PEFT's layout on top of it; empty for a whole model."""


@dataclass(frozen=True)
class Source:
    """A stage to export."""

    spec: str
    """The spec as the user named it."""
    stage: str
    graph: Graph
    outputs: Mapping[str, Path]
    """Folder of each built node that the stage depends on."""
    commits: Mapping[str, str] = field(default_factory=dict)
    """Commits of revisions that the lock file resolves, by node."""
    not_built: Callable[[str], UserError] = lambda name: UserError.of("E152", f"'{name}' is not built")
    """Makes the error for a node that is not built."""

    @property
    def node(self) -> GraphNode:
        return self.graph.nodes[self.stage]

    @property
    def kind(self) -> str:
        return self.node.kind

    @property
    def settings(self) -> TrainingConfig:
        assert isinstance(self.node.config, TrainingConfig)
        return self.node.config

    @property
    def sft(self) -> SFTSettings:
        assert isinstance(self.node.config, SFTSettings)
        return self.node.config

    @property
    def grpo(self) -> GRPOSettings:
        assert isinstance(self.node.config, GRPOSettings)
        return self.node.config

    def input(self, name: str) -> Path:
        """The folder of an input, by its name in the config. Raises `UserError` E152 if it is not built."""
        node = self.node.reads[name]
        if node not in self.outputs:
            raise self.not_built(node)
        return self.outputs[node]

    @cached_property
    def model(self) -> Model:
        """The stage's model. One that is not built has the path `PLACEHOLDER`; one of the Hub is known to be an adapter
        if it is in the Hub's cache.

        Raises:
            UserError: E553 for an adapter that the stage would merge before it trains all weights.
        """
        name = self.node.reads[self.settings.model]
        repository = _hub_model(self.graph.nodes[name], self.commits)
        folder = _cached_adapter(*repository) if repository else self.outputs.get(name)
        if folder is None:
            return Model(*repository) if repository else Model(PLACEHOLDER)
        adapter = read_adapter(folder)
        if adapter is None:
            return Model(*_located(folder))
        if self.settings.adapter is None:
            cause = f"'{self.stage}' trains all weights of '{name}', an adapter, and other trainers do not merge it"
            merge = "merge it into its base with `merge_and_unload` of peft, and name that model"
            raise UserError.of("E553", cause, merge if repository else f"set `save: merged` in '{name}'")
        return Model(*_base(folder, adapter), adapter=str(folder))

    @property
    def has_model(self) -> bool:
        return self.model.path != PLACEHOLDER

    @cached_property
    def tokenizer(self) -> Any:
        """The stage's tokenizer; training does not change it, so that of an earlier model serves as well."""
        from transformers import AutoTokenizer

        path, revision = self._tokenizer_place
        return AutoTokenizer.from_pretrained(path, revision=revision or "main", trust_remote_code=False)

    @cached_property
    def positions(self) -> int:
        """The longest sequence that the model supports, in tokens."""
        from transformers import AutoConfig

        path, revision = self._tokenizer_place
        found = AutoConfig.from_pretrained(path, revision=revision or "main", trust_remote_code=False)
        return found.max_position_embeddings

    @cached_property
    def _tokenizer_place(self) -> tuple[str, str]:
        """The nearest model that can be read: the stage's own, or one that it was trained from.

        Raises `UserError` E152 if there is none.
        """
        name = first = self.node.reads[self.settings.model]
        while True:
            node = self.graph.nodes[name]
            if (repository := _hub_model(node, self.commits)) is not None:
                return repository
            if name in self.outputs:
                return _located(self.outputs[name])
            if not isinstance(node.config, TrainingConfig):
                raise self.not_built(first)
            name = node.reads[node.config.model]


def _hub_model(node: GraphNode, commits: Mapping[str, str]) -> tuple[str, str] | None:
    """Repository and commit (or branch) of a model of the Hub; None for other models."""
    if node.section != "models" or node.kind != "hub":
        return None
    config: Any = node.config
    return config.repo, commits.get(node.name, config.revision)


def _cached_adapter(repo: str, revision: str) -> Path | None:
    """The folder of an adapter of the Hub; None for a whole model, and for one that was not downloaded yet."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, ADAPTER_WEIGHTS, revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def _base(folder: Path, adapter: AdapterConfig) -> tuple[str, str]:
    """Path and revision of an adapter's base: beside it, or the repository that its config names."""
    if (folder / BASE).is_dir() or not adapter.base_on_hub:
        return _located(folder / BASE)
    target = json.loads(adapter.base_on_hub)
    return target["repo"], target["revision"]


def _located(folder: Path) -> tuple[str, str]:
    """Path and revision of a model artifact: the folder, or the repository that it points to."""
    pointer = folder / POINTER
    if not pointer.is_file():
        return str(folder), ""
    target = json.loads(pointer.read_text(encoding="utf-8"))
    return target["repo"], target["revision"]
