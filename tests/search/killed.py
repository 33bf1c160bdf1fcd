"""A search that is killed again and again: `python -m tests.search.killed ROOT MODEL ENGINE KILLS SEED`.

Each run is a forked process, so that libraries are loaded once. Prints, for each run, its process id and the items that
were finished when it started.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from tests.stages.test_search import Items, letters, search

PROBLEMS = [letters("ab", name) for name in (f"{a}{b}{c}" for a in "pqrstu" for b in "pqrstu" for c in "pqrstu")][:200]


def finished(items: Path) -> list[str]:
    return sorted(path.name for path in items.rglob("*") if len(path.name) == 64)


def count(items: Path) -> int:
    return sum(len(list(folder.glob("[!.]*"))) for folder in items.glob("*"))


def run(root: Path, model: Path, engine: dict, number: int) -> int:
    """Start a search of all problems; returns its process id."""
    from transformers import AutoTokenizer, LlamaForCausalLM  # noqa: F401  (before the fork: `transformers` alone loads little)

    process = os.fork()
    if not process:
        try:
            search(root / str(number), model, PROBLEMS, Items(root / "items"), engine, trees_in_flight=8)
            os._exit(0)
        finally:
            os._exit(1)
    return process


def main(root: Path, model: Path, engine: dict, kills: int, seed: int) -> None:
    draw, runs = random.Random(seed), []
    (root / "items/00").mkdir(parents=True)
    (root / "items/00/.tmp-torn").touch()  # what a kill in the middle of a write leaves, for every run to pass over
    for number in range(kills):
        before = finished(root / "items")
        process = run(root, model, engine, number)
        runs.append((process, before))
        # at any time from its start until well after some more trees
        enough, spare = len(before) + draw.randint(0, 16), draw.uniform(0, 0.3)
        while count(root / "items") < enough and os.waitpid(process, os.WNOHANG) == (0, 0):
            time.sleep(0.005)
        time.sleep(spare)
        try:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
    before = finished(root / "items")
    last = run(root, model, engine, kills)
    runs.append((last, before))
    _, status = os.waitpid(last, 0)
    print(json.dumps({"status": status, "runs": runs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
