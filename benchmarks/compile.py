"""Seconds of commands that build nothing, as whole processes, compared with a bare start of Python.

    python -m benchmarks.compile --quick --json

The commands alternate, so that other work on the machine affects all of them. The last line is JSON: for each command,
the median and minimum wall time and the minimum CPU time, which other processes affect less.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPECS = sorted(
    path.relative_to(ROOT)
    for folder in ("", "sweeps", "ablations")
    for path in (ROOT / "specs" / folder).glob("*.yaml")
)


def commands() -> dict[str, list[str]]:
    """What is timed: a name and the arguments of Python."""
    found = {"python": ["-c", "pass"], "libraries": ["-c", "import pydantic, yaml, jinja2"]}
    for spec in SPECS:
        found[f"check {spec}"] = ["-m", "astro_factory", "check", str(spec)]
    return found


def run(arguments: Sequence[str], store: str) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ASTRO_STORE": store}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--rounds", type=int, help="repetitions [default: 10]")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (3 if arguments.quick else 10)
    taken: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="astro-factory-bench-") as store:
        for _ in range(rounds):
            for name, command in commands().items():
                taken[name].append(run(command, store))
    figures = {
        name: {
            "median_s": round(statistics.median(wall for wall, _ in times), 3),
            "least_s": round(min(wall for wall, _ in times), 3),
            "cpu_s": round(min(cpu for _, cpu in times), 3),
        }
        for name, times in taken.items()
    }
    if not arguments.json:
        for name, found in figures.items():
            print(f"{name:<40} {'  '.join(f'{key} {value:.3f}' for key, value in found.items())}")
    print(json.dumps({"benchmark": "compile", "rounds": rounds, "seconds": figures}))


if __name__ == "__main__":
    main()
