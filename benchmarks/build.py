"""Seconds of a build of trivial stages as a whole process, compared with DVC, Snakemake and redun on the same graph.

    make bench-setup                           # installs the other three in a separate environment
    python -m benchmarks.build --quick --json

For each size the tools alternate: a cold build, one with nothing to do, one after a change that affects two stages. The
output of the last stage is compared with the expected one. The last line is JSON with the medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.peers import ROOT, TOOLS, Stage, Tool, changed, expected, graph

PHASES = ("cold", "no_op", "one_leaf")


def run(tool: Tool, folder: Path) -> float:
    """Seconds of one run of a tool as a process."""
    path = os.pathsep.join([str(Path(tool.command[0]).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    start = time.perf_counter()
    done = subprocess.run(tool.command, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(tool.command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return seconds


def measure(tool: Tool, folder: Path, stages: list[Stage]) -> dict[str, float]:
    """Seconds of each phase in a new folder."""
    folder.mkdir()
    if tool.prepare:
        subprocess.run(tool.prepare, cwd=folder, check=True, capture_output=True)
    seconds = {}
    for phase in PHASES:
        now = changed(stages) if phase == "one_leaf" else stages
        if phase != "no_op":
            tool.write(folder, now)
        seconds[phase] = run(tool, folder)
        if tool.read(folder) != expected(now):
            raise SystemExit(f"{tool.command[0]}: another result after {phase}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 and 50 stages, once")
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of stages [default: 10 200 1000]")
    parser.add_argument("--rounds", type=int, help="repetitions [default: 3]")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS), help="which tools [default: all]")
    arguments = parser.parse_args()
    sizes = arguments.sizes or ([10, 50] if arguments.quick else [10, 200, 1000])
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    missing = [name for name in arguments.tools if not TOOLS[name].there()]
    tools = {name: TOOLS[name] for name in arguments.tools if name not in missing}
    if missing and not arguments.json:
        print(f"not there, so left out: {', '.join(missing)}; `make bench-setup` installs them")
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for size in sizes:
        taken: dict[tuple[str, str], list[float]] = defaultdict(list)
        for number in range(rounds):
            for name, tool in tools.items():
                with tempfile.TemporaryDirectory(prefix="astro-factory-bench-") as folder:
                    seconds = measure(tool, Path(folder) / "build", graph(size))
                for phase in PHASES:
                    taken[name, phase].append(seconds[phase])
                if not arguments.json:
                    shown = "  ".join(f"{phase} {seconds[phase]:7.2f} s" for phase in PHASES)
                    print(f"{size:>5} stages, round {number + 1}  {name:<14} {shown}", flush=True)
        figures[str(size)] = {
            name: {phase: round(statistics.median(taken[name, phase]), 3) for phase in PHASES} for name in tools
        }
    print(json.dumps({"seconds": figures, "ahead": ahead(figures), "left_out": missing}))


def ahead(figures: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """For each size and phase, the fastest other tool's time over ours; above 1 we are ahead."""
    found = {}
    for size, tools in figures.items():
        others = {name: phases for name, phases in tools.items() if name != "astro-factory"}
        if others and "astro-factory" in tools:
            for phase in PHASES:
                fastest = min(phases[phase] for phases in others.values())
                found[f"{size} {phase}"] = round(fastest / tools["astro-factory"][phase], 2)
    return found


if __name__ == "__main__":
    main()
