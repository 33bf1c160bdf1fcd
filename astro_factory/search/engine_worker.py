"""One engine with the trees it builds; finished trees are handed over packed."""

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
    """What all trees of a search depend on, besides their problems."""

    folder: Path
    """The model's folder."""
    engine: EngineConfig
    policy: PolicyConfig
    seed: int


class SearchProgress(NamedTuple):
    """The work done since the previous report."""

    trees: list[tuple[str, bytes]] = []  # noqa: RUF012
    """Key and packed tree of each finished tree."""
    solved: int = 0
    """Finished trees with a correct terminal."""
    tokens: int = 0
    """Tokens sampled, including those of unfinished trees."""
    calls: int = 0
    """Samples drawn, including those of unfinished trees."""
    samples: int = 0
    """Samples of finished trees that were parsed by a step format."""
    split_samples: int = 0
    """Those among them that it splits."""
    unsplit: str = ""
    """Start of a sample that it does not split."""


class EngineSearch:
    """The search on one engine."""

    def __init__(self, engine: Engine, policy: PolicyConfig, seed: int):
        from astro_factory.search.driver import Search

        self._engine = engine
        self._search = Search(engine, policy, seed)
        gc.freeze()  # what is loaded by now stays: a full collection only has to visit the trees

    @classmethod
    def open(cls, settings: SearchSettings) -> "EngineSearch":
        """Load the engine. Raises what `engines.open_engine` raises, and E611."""
        from astro_factory.engines import open_engine

        return cls(open_engine(settings.engine, settings.folder), settings.policy, settings.seed)

    def advance(self, problems: dict[str, Problem]) -> SearchProgress:
        """Start these problems, by key, and work for a while."""
        tokens, calls = self._search.tokens, self._search.calls
        samples, split_samples = self._search.samples, self._search.split_samples
        trees = self._search.advance(problems)
        return SearchProgress(
            [(key, pack(tree)) for key, tree in trees.items()],
            sum(map(_is_solved, trees.values())),
            self._search.tokens - tokens,
            self._search.calls - calls,
            self._search.samples - samples,
            self._search.split_samples - split_samples,
            self._search.unsplit,
        )

    def close(self) -> None:
        self._engine.close()


def _is_solved(tree: Tree) -> bool:
    return any(node.verdict == Outcome.CORRECT for node in tree.nodes)


_search_of_process: list[EngineSearch] = []


def advance(message: SearchSettings | dict[str, Problem]) -> SearchProgress:
    """Entry point of a worker process: the first call passes the settings and opens the search, later ones advance it.

    See `EngineSearch.advance`.
    """
    if isinstance(message, SearchSettings):
        _search_of_process.append(EngineSearch.open(message))
        return SearchProgress()
    return _search_of_process[0].advance(message)
