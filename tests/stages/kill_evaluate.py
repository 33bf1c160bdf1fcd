"""Kills an evaluation at random moments until it has been killed often enough, then lets it end; run as a program.

    python -m tests.stages.kill_evaluate FOLDER TIMES SEED

FOLDER has `base/` (a model), `test/` (problems); the outputs are left in `whole/` and `resumed/`, and what happened is
printed as JSON: among it, how many finished samples were made a second time.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from astro_factory.core.context import StageContext
from astro_factory.stages.evaluate import Config, run
from astro_factory.store.items import StoredItems
from tests.training.tiny import Recorded

RESPONSES = ["answer ( 4 + 10 ) + 3", "answer ( 4 + 10 ) - 3", "answer 4 + 3", "left", "answer 1 + 2 + 3"]
SETTINGS = {
    "kind": "evaluate",
    "arms": ["base", "rl"],
    "engine": {"kind": "scripted", "responses": {"": RESPONSES}},
    "suite": {"problems": ["test"], "samples": 4, "max_tokens": 40, "metrics": ["pass@1", "maj@4"]},
    "compare": [["rl", "base"]],
    "group": 20,
}


class CountedItems(StoredItems):
    """Writes down in a file `made` beside its folder which items were put; may kill its process after some of them."""

    killed_after: int | None = None

    def put(self, key: str, value: bytes) -> None:
        super().put(key, value)
        with (self.root.parent / "made").open("a") as file:
            file.write(key + "\n")
        if self.killed_after is not None:
            self.killed_after -= 1
            if self.killed_after <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def attempt(root: Path, out: Path, items: Path, killed_after: int | None = None) -> None:
    """One run, from the items that are there; its folder of outputs is new, as the runtime's is."""
    out.mkdir()
    inputs = {"base": root / "base", "rl": root / "base", "test": root / "test"}
    digests = {"base": "one", "rl": "another", "test": "test"}
    stored = CountedItems(items)
    stored.killed_after = killed_after
    run(StageContext("report", inputs, digests, out, root, stored, Recorded()), Config(**SETTINGS))


def forked(root: Path, out: Path, items: Path, killed_after: int | None = None) -> int:
    child = os.fork()
    if child == 0:
        attempt(root, out, items, killed_after)
        os._exit(0)
    return child


def main(root: Path, times: int, seed: int) -> None:
    attempt(root, root / "first", root / "items_first" / "items")  # loads what a run loads, so that kills meet its work
    start = time.time()
    child = forked(root, root / "whole", root / "items_whole" / "items")
    assert os.waitpid(child, 0)[1] == 0
    seconds, puts = time.time() - start, len((root / "items_whole" / "made").read_text().splitlines())
    rng, killed, kept = random.Random(seed), 0, []
    for number in range(10 * times):
        if killed == times:
            break
        items = root / f"items{number // 5}" / "items"  # anew now and then: what is there already takes no time
        if number % 2:  # after so many items: moments of sampling, however fast the machine is
            child = forked(root, root / f"out{number}", items, rng.randint(1, puts // 3))
        else:  # at any time
            child = forked(root, root / f"out{number}", items)
            time.sleep(rng.random() * seconds)
            os.kill(child, signal.SIGKILL)
        killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        kept.append(sum(path.is_file() for path in items.rglob("*")))
    attempt(root, root / "resumed", items)
    made = [path.read_text().splitlines() for path in root.glob("items[0-9]*/made")]
    twice = sum(len(keys) - len(set(keys)) for keys in made)
    print(json.dumps({"killed": killed, "kept": kept, "made": sum(map(len, made)), "made_twice": twice}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
