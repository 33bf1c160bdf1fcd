import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from astro_factory.core.trees import read_trees_with_calls, unpack
from astro_factory.store.items import StoredItems
from tests.search.faulty import faulty
from tests.search.killed import PROBLEMS
from tests.search.killed import finished as finished_items
from tests.stages.test_search import LLAMA, SCRIPTED, model, search  # noqa: F401  (a fixture)

KILLS = 20


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "engine", [SCRIPTED, pytest.param(LLAMA | {"batch_size": 16}, marks=pytest.mark.nightly)], ids=["scripted", "llama"]
)
def test_a_search_killed_at_random_moments_loses_only_trees_in_flight(tmp_path, model, engine):  # noqa: F811
    whole, _ = search(tmp_path / "whole", model, PROBLEMS, engine=engine)
    log = tmp_path / "log"
    arguments = [tmp_path, model, json.dumps(faulty(engine, log=str(log))), KILLS, 7]
    command = [sys.executable, "-m", "tests.search.killed", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-4000:]
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["status"] == 0 and len(report["runs"]) == KILLS + 1
    assert (tmp_path / str(KILLS) / "out/trees.parquet").read_bytes() == whole["trees.parquet"]
    assert len(report["runs"][-1][1]) > 0
    sampled: dict[int, Counter] = {}
    for line in log.read_text().splitlines():
        process, seed = map(int, line.split())
        sampled.setdefault(process, Counter())[seed] += 1
    seeds = {
        tree.problem.id: {call.seed for call in tree.calls} for tree in read_trees_with_calls(whole_table(tmp_path))
    }
    problems = problem_of(tmp_path)
    for process, finished in report["runs"]:
        known = {seed for name in map(problems.get, finished) for seed in seeds[name]}
        assert not known & sampled.get(process, Counter()).keys()
        assert set(sampled.get(process, Counter()).values()) <= {1}


def whole_table(root: Path) -> Path:
    return root / "whole/out/trees.parquet"


def problem_of(root: Path) -> dict[str, str]:
    """Problem id by item key."""
    items, found = StoredItems(root / "items"), {}
    for key in finished_items(items.root):  # not what a kill left half written under a temporary name
        [row] = unpack(items.get(key)).to_pylist()
        found[key] = row["problem"]["id"]
    return found
