import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from astro_factory.core.problems import Problem
from astro_factory.stages.problems.hub import Config, check
from tests.hub.server import HubServer, Stored

SCRIPT = """
    import json, sys
    from pathlib import Path
    from astro_factory.core.errors import UserError
    from astro_factory.core.tables import read_table
    from astro_factory.stages.problems.hub import Config, run
    from tests.training.tiny import context
    results = []
    for number, config in enumerate(json.loads(sys.argv[2])):
        ctx = context(Path(sys.argv[1], str(number)), {})
        try:
            run(ctx, Config(**config))
            results.append(read_table(ctx.out / "problems.parquet"))
        except UserError as error:
            results.append(str(error))
    Path(sys.argv[1], "results.json").write_text(json.dumps(results))
"""
ROWS = [{"id": "a", "problem": "1 + 1?", "answer": "2"}, {"id": "b", "problem": "1 + 2?", "answer": "3"}]


def fetch(server: HubServer, root: Path, *settings: dict) -> list:
    """Problems, or the error's text, for each of some settings.

    In a process of its own: `datasets` reads its environment when it is imported.
    """
    configs = [{"kind": "hub", "repo": "org/sums", "fields": {"id": "id", "question": "problem"}} | s for s in settings]
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(root), json.dumps(configs)],
        env={**os.environ, **server.environment(root / "home")},
        check=True,
    )
    return json.loads((root / "results.json").read_text())


@pytest.fixture(scope="module")
def server():
    """The repository at two commits: with one row, then with two."""
    with HubServer() as server:
        repo = server.create("org/sums", **{"data/train.jsonl": lines(ROWS[:1])})
        repo.add("more", {"data/train.jsonl": Stored(lines(ROWS), lfs=False)})
        yield server


def lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.slow
def test_reads_a_split_at_a_commit_and_says_what_is_not_there(server, tmp_path):
    first = server.repo("org/sums").commits[-2].oid
    faulty = [{"repo": "org/none"}, {"split": "test"}, {"config": "other"}]
    new, old, *errors = fetch(server, tmp_path, {}, {"revision": first}, *faulty)
    assert [Problem.from_row(row) for row in old] == [Problem("a", "1 + 1?", "2", "math")]
    assert [row["id"] for row in new] == ["a", "b"]
    for settings, error in zip(faulty, errors, strict=True):
        assert error.startswith(f"E428 cannot load the dataset {settings.get('repo', 'org/sums')}: ")
        assert error.endswith("; check repo, config and split, and your access to it (`hf auth login`)")


def test_the_verifier_is_checked_at_compile_time():
    assert check(Config(kind="hub", repo="a/b"), {}) == []
    assert [d.code for d in check(Config(kind="hub", repo="a/b", verifier="maths"), {})] == ["E401"]
