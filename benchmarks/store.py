"""Hashing speed compared with `sha256sum`, and the cost of the store's writes.

    python -m benchmarks.store --quick --json

The same files are hashed alternately by `file_digest` and by `sha256sum`: one large file, and many small ones, whose
names `sha256sum` gets all at once. Then items are written and read, and results of one small file are committed one
after another, as in a build of trivial stages. The last line is JSON; `ratio_*` is our rate over that of `sha256sum`;
`fsck_ratio` is that of a whole check, which uses all cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from astro_factory.core.canonical import digest, file_digest
from astro_factory.store import Store
from astro_factory.store.fsck import fsck

MB = 1 << 20


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def sha256sum(paths: list[Path]) -> list[str]:
    out = subprocess.run(["sha256sum", *paths], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in out.splitlines()]


def compared(paths: list[Path], rounds: int) -> float:
    """The median of our rate over that of `sha256sum`; what they say must be the same."""
    assert [file_digest(path) for path in paths] == sha256sum(paths)
    ratios = []
    for _ in range(rounds):
        ours = seconds(lambda: [file_digest(path) for path in paths])
        ratios.append(seconds(lambda: sha256sum(paths)) / ours)
    return statistics.median(ratios)


def check_ratio(folder: Path, paths: list[Path], rounds: int) -> float:
    """The rate of a check over that of `sha256sum` on the same bytes."""
    store = Store(folder / "whole")
    for path in paths:
        store.add_blob(path)
    blobs = list((store.root / "blobs").glob("*/*"))
    return statistics.median(seconds(lambda: sha256sum(blobs)) / seconds(lambda: fsck(store)) for _ in range(rounds))


def items(store: Store, count: int, size: int) -> tuple[float, float]:
    """Items put and got a second."""
    values = {digest(number): os.urandom(size) for number in range(count)}
    kept = store.items()
    put = seconds(lambda: [kept.put(key, value) for key, value in values.items()])
    assert all(kept.get(key) == value for key, value in list(values.items())[:10])
    fresh = store.items()
    return count / put, count / seconds(lambda: [fresh.get(key) for key in values])


def commits(store: Store, count: int) -> float:
    """Results of one small file, committed one after another: milliseconds each."""
    for number in range(count):
        out = store.staging(digest(number)) / "out"
        out.mkdir(parents=True)
        (out / "table").write_text(f"{number}\n")

    def all_of_them() -> None:
        for number in range(count):
            store.commit(digest(number), number, store.staging(digest(number)) / "out", {"seconds": 0.0})

    return 1000 * seconds(all_of_them) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of a gigabyte instead of a whole one")
    parser.add_argument("--json", action="store_true", help="only the last line")
    arguments = parser.parse_args()
    large, small, rounds = (256, 500, 3) if arguments.quick else (1024, 5000, 5)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        block = os.urandom(MB)
        with (folder / "large").open("wb") as file:
            for _ in range(large):
                file.write(block)
        (folder / "small").mkdir()
        for number in range(small):
            (folder / f"small/{number}").write_bytes(number.to_bytes(8, "big") + block[:20_000])
        small_files = sorted((folder / "small").iterdir())
        store = Store(folder / "store")
        put, got = items(store, 200 if arguments.quick else 2000, 20_000)
        figures = {
            "ratio_large": round(compared([folder / "large"], rounds), 2),
            "ratio_small": round(compared(small_files, rounds), 2),
            "fsck_ratio": round(check_ratio(folder, [folder / "large", *small_files], rounds), 2),
            "items_put_per_s": round(put),
            "items_got_per_s": round(got),
            "commit_ms": round(commits(store, 100 if arguments.quick else 1000), 2),
        }
    if not arguments.json:
        print(f"{large} MB and {small} files of 20 kB, {rounds} rounds, {os.cpu_count()} cores")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
