"""The memory of a search does not grow with the number of problems."""

import gc
from collections import Counter

import pytest
from pydantic import TypeAdapter

from astro_factory.core.trees import Tree
from astro_factory.engines import open_engine
from astro_factory.engines.config import EngineConfig
from astro_factory.search.config import PolicyConfig
from astro_factory.search.engine_worker import EngineSearch
from astro_factory.search.ledger import Ledger
from astro_factory.search.step_parser import StepParser
from astro_factory.search.tree_builder import TreeBuilder
from astro_factory.search.workers import InProcessWorker, drive
from tests.search.toy import letters, save_tokenizer
from tests.stages.test_search import POLICY, SCRIPTED, Items

IN_FLIGHT = 8


@pytest.mark.slow
def test_only_trees_in_flight_are_in_memory(tmp_path):
    """Finished trees are freed at once: the collector is off, so reference cycles would show too."""
    problems = {f"{index:064x}": letters("ab", name) for index, name in enumerate("pqrstu" * 50)}
    ledger = Ledger(Items(tmp_path / "items"), problems)
    engine = TypeAdapter(EngineConfig).validate_python(SCRIPTED)
    policy = TypeAdapter(PolicyConfig).validate_python(POLICY)
    most = 0
    with open_engine(engine, save_tokenizer(tmp_path / "model")) as opened:
        gc.collect()
        gc.disable()
        try:
            for number, _ in enumerate(
                drive([lambda: InProcessWorker(EngineSearch(opened, policy, 0))], ledger, IN_FLIGHT)
            ):
                if number % 10 == 0:
                    counts = Counter(map(type, gc.get_objects()))
                    most = max(most, counts[TreeBuilder], counts[StepParser], counts[Tree])
        finally:
            gc.enable()
    assert ledger.completed == 300
    assert 0 < most <= IN_FLIGHT
