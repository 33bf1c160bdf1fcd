"""An engine with its growing trees, and what it hands over: whole trees, packed."""

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from astro_factory.core.problems import Problem
from astro_factory.core.trees import Tree, pack
from astro_factory.core.verdicts import Outcome
from astro_factory.engines.base import Engine
from astro_factory.engines.config import EngineConfig
from astro_factory.search.config import PolicyConfig


@dataclass(frozen=True)
class SearchSettings:
    """What all trees of a search depend on, beside their problems."""

    folder: Path
    """The model."""
    engine: EngineConfig
    policy: PolicyConfig
    seed: int


class SearchProgress(NamedTuple):
    """What was done since the last one."""

    trees: list[tuple[str, bytes]] = []  # noqa: RUF012
    """Key and packed tree of each that is done."""
    solved: int = 0
    tokens: int = 0
    """Sampled, for these trees and for those that still grow."""
    calls: int = 0
    """Samples of the same."""


class EngineSearch:
    """The trees of one engine."""

    def __init__(self, engine: Engine, policy: PolicyConfig, seed: int):
        from astro_factory.search.driver import Search

        self._engine = engine
        self._search = Search(engine, policy, seed)
        gc.freeze()  # what is loaded by now stays: a full collection looks at the trees alone

    @classmethod
    def open(cls, settings: SearchSettings) -> "EngineSearch":
        """Load the engine. Raises what `engines.open_engine` does, and E611."""
        from astro_factory.engines import open_engine

        return cls(open_engine(settings.engine, settings.folder), settings.policy, settings.seed)

    def advance(self, problems: dict[str, Problem]) -> SearchProgress:
        """Begin these problems, by key, and go on for a while."""
        tokens, calls = self._search.tokens, self._search.calls
        trees = self._search.advance(problems)
        return SearchProgress(
            [(key, pack(tree)) for key, tree in trees.items()],
            sum(map(_solved, trees.values())),
            self._search.tokens - tokens,
            self._search.calls - calls,
        )

    def close(self) -> None:
        self._engine.close()


def _solved(tree: Tree) -> bool:
    return any(node.verdict == Outcome.CORRECT for node in tree.nodes)


_searches: list[EngineSearch] = []


def advance(what: SearchSettings | dict[str, Problem]) -> SearchProgress:
    """`EngineSearch.advance` of the one search of this process, which a first call with the settings opens."""
    if isinstance(what, SearchSettings):
        _searches.append(EngineSearch.open(what))
        return SearchProgress()
    return _searches[0].advance(what)
