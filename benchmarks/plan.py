"""Planning as whole processes: shipped specs, a build with nothing to do, and sweeps over the quickstart's graph.

    python -m benchmarks.plan [--quick] [--repeats 5]

Each line is a command, with the medians of its wall time and of the CPU time of the process and its children, which
other work on the machine affects less. A sweep has three axes: the traces, the learning rate of fine-tuning and that of
reinforcement learning, so that its variants share searches and traces. The store of a "full" line contains an
artificial result for every stage, so that all are hits; `build --json` then reads each of them.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from astro_factory.core.graph import Graph
from astro_factory.plan import make_plan
from astro_factory.spec import compile_spec
from astro_factory.store import Store

ROOT = Path(__file__).parents[1]
SIDES = {100: (5, 5, 4), 300: (5, 10, 6), 1000: (10, 10, 10)}
"""Variants to the values of each axis."""


class Times(NamedTuple):
    """Medians, in seconds."""

    wall: float
    cpu: float


def timed(repeats: int, *arguments: object) -> Times:
    """A command's times. Raises `CalledProcessError` if it fails."""
    walls, cpus = [], []
    for _ in range(repeats):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-m", "astro_factory", *map(str, arguments)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"COLUMNS": "120"})
        walls.append(time.monotonic() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return Times(statistics.median(walls), statistics.median(cpus))


def fill(graph: Graph, store: Store, folder: Path) -> int:
    """Give every node a made-up result, as a build would leave it; returns how many there are."""
    plan = make_plan(graph, store, use_imports=False)
    contents: dict[str, str] = {}
    for name, item in plan.nodes.items():
        found = plan.resolve(item.node, contents)
        if found.result is None:
            out = folder / found.key
            out.mkdir(parents=True)
            (out / "file").write_text(found.key)
            store.commit(found.key, found.record, out, {"rows": 100, "seconds": 1.0})
            found = plan.resolve(item.node, contents)
        contents[name] = found.result.content
    return len(plan.nodes)


def write_sweep(folder: Path, variants: int) -> Path:
    """Copy the shipped specs into a folder, and write a spec there that sweeps the quickstart in this many variants."""
    specs = folder / "specs"
    if not specs.exists():
        shutil.copytree(ROOT / "specs", specs)
    words, tuning, reinforcing = SIDES[variants]
    rates = [[round(1e-4 * (index + 1), 6) for index in range(count)] for count in (tuning, reinforcing)]
    path = specs / f"sweep_{variants}.yaml"
    path.write_text(
        "factory: 1\nname: swept\ninclude: [quickstart.yaml]\n"
        # the direct arm is `like` the other one; its own rates keep it out of the sweep
        "stages: {direct_sft: {learning_rate: 1.0e-3}, direct_rl: {learning_rate: 1.0e-4}}\n"
        "sweeps:\n  rates:\n    compare: report\n    axes:\n"
        f"      stages.traces.per_problem: {list(range(1, words + 1))}\n"
        f"      stages.astro_sft.learning_rate: {rates[0]}\n"
        f"      stages.astro_rl.learning_rate: {rates[1]}\n"
    )
    return path


def show(what: str, times: Times, note: str = "") -> None:
    print(f"{what:<44} {times.wall:6.2f} s wall {times.cpu:6.2f} s processor  {note}".rstrip(), flush=True)


def main(quick: bool, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for spec in sorted((ROOT / "specs").glob("*.yaml")):
            arguments = ("plan", spec, "--offline", "--store", folder / "empty")
            show(f"plan {spec.name}", timed(repeats, *arguments))
        store, spec = folder / "quickstart", ROOT / "specs/quickstart.yaml"
        fill(compile_spec(spec, sets=["publish=null"]), Store(store), folder / "made")
        arguments = ("build", spec, "--no-publish", "--json", "--store", store)
        show("build quickstart.yaml, all hits", timed(repeats, *arguments))
        for variants in list(SIDES)[: 1 if quick else None]:
            spec = write_sweep(folder, variants)
            again = 1 if variants == max(SIDES) else repeats
            sweep = ("--sweep", "rates", "--store")
            empty = timed(again, "plan", spec, "--offline", *sweep, folder / "empty")
            store = folder / f"store_{variants}"
            nodes = fill(compile_spec(spec, sweep="rates"), Store(store), folder / f"made_{variants}")
            note = f"{nodes:,} distinct stages"
            show(f"plan, {variants:,} variants, empty store", empty, note)
            full = timed(again, "plan", spec, "--offline", *sweep, store)
            show(f"plan, {variants:,} variants, full store", full, f"{full.cpu / nodes * 1000:.2f} ms a stage")
            built = timed(again, "build", spec, "--json", *sweep, store)
            show(f"build, {variants:,} variants, all hits", built, f"{built.cpu / nodes * 1000:.2f} ms a stage")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the smallest sweep alone")
    parser.add_argument("--repeats", type=int, default=3, help="runs of a command")
    options = parser.parse_args()
    main(options.quick, options.repeats)
