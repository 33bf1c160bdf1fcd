"""Peak memory of the search stage by the number of problems: table to table, with the store, on the scripted engine.

    python -m benchmarks.search_memory --quick --json     # 500 and 2,000 problems
    python -m benchmarks.search_memory                    # 1,000, 5,000 and 20,000

Each search is a separate process. The engine needs almost no memory, so this measures the trees, the ledger and the
table. The last line is JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from astro_factory.core.context import StageContext
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.tables import write_table
from astro_factory.spec import compile_spec
from astro_factory.stages.search import Config, run
from astro_factory.store import Store
from astro_factory.verifiers.countdown import question_text
from benchmarks.linearize import NoEvents
from benchmarks.search import base_model

NUMBERS, TARGETS = [3, 5, 7, 9], [4, 11, 17, 24, 55, 1]
ROLLOUTS = [
    "3 + 5 = 8\n8 + 7 = 15\n15 + 9 = 24\n",
    "3 * 5 = 15\n15 - 7 = 8\n8 + 9 = 17\n",
    "9 - 7 = 2\n2 + 5 = 7\n7 - 3 = 4\n",
    "9 * 7 = 63\n63 - 5 = 58\n58 - 3 = 55\n",
    "5 - 3 = 2\n2 * 9 = 18\n18 - 7 = 11\n",
]


def search(count: int, folder: Path) -> None:
    """Search so many problems; prints the peak of this process, in MB, and the number of samples."""
    spec = shipped_folder("specs") / "quickstart.yaml"
    out, source = folder / "out", folder / "problems"
    for path in (out, source):
        path.mkdir()
    targets = [TARGETS[index % len(TARGETS)] for index in range(count)]
    rows = (
        Problem(f"p{index}", question_text(NUMBERS, target), "", "countdown", {"numbers": NUMBERS, "target": target})
        for index, target in enumerate(targets)
    )
    write_table(source / "problems.parquet", (row.as_row() for row in rows), problem_schema())
    policy = compile_spec(spec).nodes["trees"].config.policy.model_dump() | {"iterations": 3}
    engine = {"kind": "scripted", "responses": {"": ROLLOUTS}}
    config = Config(kind="search", model="model", problems="problems", policy=policy, engine=engine)
    inputs = {"model": base_model(folder / "model", spec), "problems": source}
    items = Store(folder / "store").items()
    run(StageContext("trees", inputs, {"model": "m", "problems": "p"}, out, folder, items, NoEvents()), config)
    made = json.loads((out / "statistics.json").read_text())
    assert made["trees"] == count
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    print(json.dumps({"mb": round(kilobytes / 1024), "samples": made["samples"]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a minute instead of an hour")
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--sizes", type=int, nargs="+", help="how many problems")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        with tempfile.TemporaryDirectory() as folder:
            search(arguments.one, Path(folder))
        return
    peaks = {}
    for size in arguments.sizes or ([500, 2000] if arguments.quick else [1000, 5000, 20000]):
        command = [sys.executable, "-m", "benchmarks.search_memory", "--one", str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        peaks[size] = found["mb"]
        if not arguments.json:
            print(f"{size:,} problems, {found['samples']:,} samples: {found['mb']} MB", flush=True)
    print(json.dumps({"benchmark": "search_memory", "peak_mb_by_problems": peaks}))


if __name__ == "__main__":
    main()
