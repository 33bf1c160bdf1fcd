"""The benchmark of planning does what it says, and a plan's work grows no faster than its sweep."""

import cProfile
import json
import subprocess
import sys
from pathlib import Path

import pytest

from astro_factory.plan import make_plan
from astro_factory.spec import compile_spec
from astro_factory.store import Store
from benchmarks.plan import ROOT, SIDES, fill, write_sweep


@pytest.mark.parametrize("variants", SIDES)
def test_sweeps_have_as_many_variants_as_they_say(tmp_path, variants):
    graph = compile_spec(write_sweep(tmp_path, variants), sweep="rates")
    assert len(graph.variants) == variants and len(graph.nodes) < 2.6 * variants


def test_a_full_store_is_all_hits(tmp_path):
    spec, store = write_sweep(tmp_path, 100), tmp_path / "store"
    count = fill(compile_spec(spec, sweep="rates"), Store(store), tmp_path / "made")
    command = [sys.executable, "-m", "astro_factory", "build", spec, "--sweep", "rates", "--json", "--store", store]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"] == {"hit": count}


def test_a_sweep_is_planned_in_calls_proportional_to_its_variants(tmp_path):
    """Counted in calls of functions, which do not depend on the machine; `benchmarks.plan` takes the time."""
    first, few, many = (calls_of_planning(write_sweep(tmp_path, size), tmp_path / "store") for size in SIDES)
    assert list(SIDES) == [100, 300, 1000] and first > 0  # the first also imports modules
    assert many < 4 * few


def calls_of_planning(spec: Path, store: Path) -> int:
    profile = cProfile.Profile()
    profile.enable()
    make_plan(compile_spec(spec, sweep="rates"), Store(store), use_imports=False)
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats())
