"""Engines that die, fail or return invalid samples, in this process and in others: no finished tree is lost."""

import time
from collections.abc import Set
from concurrent.futures import Future

import pytest
from pydantic import TypeAdapter

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.trees import unpack
from astro_factory.engines.config import EngineConfig
from astro_factory.search.config import MctsConfig
from astro_factory.search.engine_worker import SearchProgress, SearchSettings
from astro_factory.search.ledger import Ledger
from astro_factory.search.workers import InProcessWorker, SubprocessWorker, WorkerLost, drive
from tests.search.faulty import FAULTS, faulty
from tests.search.toy import letters
from tests.stages.test_search import POLICY, SCRIPTED, Items, model, search, trees  # noqa: F401  (a fixture)

PROBLEMS = [letters("ab", name) for name in "pqrstu"]
CODES = {"fewer": "E612", "raise": "E615"}


def failure(*arguments, **fields) -> Diagnostic:
    with pytest.raises(UserError) as caught:
        search(*arguments, **fields)
    [found] = caught.value.diagnostics
    return found


@pytest.mark.parametrize("fault", [*FAULTS, "raise"])
def test_an_engine_fault_is_an_error_and_keeps_finished_trees(tmp_path, model, fault, golden):  # noqa: F811
    whole, _ = search(tmp_path / "a", model, PROBLEMS, engine=faulty(SCRIPTED))
    items, fixed = Items(tmp_path / "items"), tmp_path / "fixed"
    engine = faulty(SCRIPTED, fault=fault, at=12, once=str(fixed))
    found = failure(tmp_path / "b", model, PROBLEMS, items, engine, trees_in_flight=2)
    assert found.code == CODES.get(fault, "E613")
    golden(str(found))
    kept = items.puts
    assert 0 < kept < 6
    files, _ = search(tmp_path / "c", model, PROBLEMS, items, engine, trees_in_flight=2)
    assert items.puts == 6 and files == whole


@pytest.mark.slow
def test_the_problems_of_a_lost_process_are_searched_again(tmp_path, model):  # noqa: F811
    whole, _ = search(tmp_path / "a", model, PROBLEMS, engine=faulty(SCRIPTED))
    engine = faulty(SCRIPTED, fault="die", at=2, once=str(tmp_path / "died"))
    items = Items(tmp_path / "items")
    files, _ = search(tmp_path / "b", model, PROBLEMS, items, engine, processes=2, trees_in_flight=2)
    assert files == whole and items.puts == 6 and (tmp_path / "died").exists()


class Flaky(InProcessWorker):
    """Is lost or hangs at the given calls, counted over all workers; finishes every other problem it was given."""

    def __init__(self, calls: list[str], losses: set[int], hangs: set[int]):
        self.calls, self.losses, self.hangs, self.problems = calls, losses, hangs, {}

    def advance(self, problems):
        self.calls.append("".join(key[0] for key in problems))
        self.problems |= problems
        future = Future()
        if len(self.calls) in self.losses:
            future.set_exception(WorkerLost("gone"))
        elif len(self.calls) not in self.hangs:
            finished = list(self.problems)[::2]
            future.set_result(SearchProgress([(key, key.encode()) for key in finished if self.problems.pop(key)]))
        return future

    def close(self):
        self.problems = None


def flaky(tmp_path, losses: set[int], workers: int = 1, hangs: Set[int] = frozenset()) -> tuple[list[str], Items]:
    items, calls = Items(tmp_path / "items"), []
    ledger = Ledger(items, {letter * 64: letters("ab", letter) for letter in "abcdef"})
    for _ in drive([lambda: Flaky(calls, losses, hangs)] * workers, ledger, 4, hang_timeout_s=0.5):
        pass
    return calls, items


def test_a_worker_gets_as_many_problems_as_it_has_room_for(tmp_path):
    calls, items = flaky(tmp_path, set())
    assert calls == ["", "abcd", "ef", "", ""] and items.puts == 6


def test_a_lost_worker_is_restarted_and_its_problems_come_first(tmp_path, golden):
    calls, items = flaky(tmp_path, {1, 3})
    assert calls == ["", "", "abcd", "", "abcd", "ef", "", ""] and items.puts == 6
    with pytest.raises(UserError, match="E614") as caught:
        flaky(tmp_path / "b", {1, 2, 3})
    golden(str(caught.value))


def test_a_worker_that_hangs_is_replaced(tmp_path, golden):
    calls, items = flaky(tmp_path, set(), hangs={2})
    assert calls == ["", "abcd", "", "abcd", "ef", "", ""] and items.puts == 6
    with pytest.raises(UserError, match="E614") as caught:
        flaky(tmp_path / "b", {1, 2}, hangs={3})
    golden(str(caught.value))


@pytest.mark.slow
def test_a_hanging_process_can_be_closed(tmp_path, model):  # noqa: F811
    engine = faulty(SCRIPTED, fault="hang", once=str(tmp_path / "hung"))
    engine, policy = TypeAdapter(EngineConfig).validate_python(engine), MctsConfig(**POLICY)
    worker = SubprocessWorker(SearchSettings(model, engine, policy, 0), {})
    assert worker.advance({}).result() == SearchProgress()
    future = worker.advance({problem.id: problem for problem in PROBLEMS})
    while not (tmp_path / "hung").exists():
        time.sleep(0.05)
    assert not future.done()
    worker.close()
    with pytest.raises(WorkerLost):
        future.result()


def test_workers_share_the_problems_evenly(tmp_path):
    assert flaky(tmp_path, set(), workers=2)[0][:4] == ["", "", "abc", "def"]


def test_a_prompt_that_fills_the_context_gives_a_tree_of_one_node(tmp_path, model):  # noqa: F811
    problems = [*PROBLEMS[:2], letters("ab", "p " * 50)]
    script = SCRIPTED | {"max_model_len": 30}
    search(tmp_path / "a", model, problems, engine=script)
    found = trees(tmp_path / "a")
    assert [len(tree.calls) > 0 for tree in found] == [True, True, False]
    assert len(found[2].nodes) == 1 and found[2].iterations == 1
    assert '"without_room": 1' in (tmp_path / "a/out/statistics.json").read_text()
    assert failure(tmp_path / "b", model, problems[2:], engine=script).code == "E601"


def test_a_tree_is_packed_without_loss(tmp_path, model):  # noqa: F811
    items = Items(tmp_path / "items")
    search(tmp_path, model, PROBLEMS, items)
    packed = [path.read_bytes().partition(b"\n")[2] for path in items.root.rglob("*") if path.is_file()]
    rows = [row for data in packed for row in unpack(data).to_pylist()]
    key = lambda row: row["problem"]["id"]  # noqa: E731
    assert sorted(rows, key=key) == sorted((tree.as_row() for tree in trees(tmp_path)), key=key)
