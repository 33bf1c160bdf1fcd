import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from astro_factory.core.workers import WorkerDied, WorkerError, WorkerTimeout
from astro_factory.verifiers.pool import MAX_CHARS, MAX_NESTING, WorkerPool, refuse

HERE = "tests.core.worker_functions"


@pytest.fixture
def make_pool():
    pools = []

    def make(function: str, **limits) -> WorkerPool:
        pools.append(WorkerPool(f"{HERE}:{function}", **({"size": 2, "timeout_s": 20.0, "memory_bytes": 0} | limits)))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def test_many_threads_share_a_few_processes(make_pool):
    pool, results = make_pool("double"), {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: pool.call(n)})) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: 2 * n for n in range(20)}


def test_the_pool_lives_on_after_a_hang_a_death_and_an_exception(make_pool):
    pool = make_pool("sleep", size=1, timeout_s=0.4)
    first = pool.call(0)
    with pytest.raises(WorkerTimeout):
        pool.call(30)
    assert pool.call(0) != first
    pool = make_pool("die", size=1)
    for _ in range(2):
        with pytest.raises(WorkerDied):
            pool.call(3)
    pool = make_pool("double", size=1)
    with pytest.raises(WorkerError):
        pool.call(None)
    assert pool.call(3) == 6


def test_a_closed_pool_starts_again(make_pool):
    pool = make_pool("sleep", size=1)
    first = pool.call(0)
    pool.close()
    assert pool.call(0) != first


def test_each_process_keeps_its_own_variables(make_pool):
    pool = make_pool("share", environments=[{"SHARE": "a"}, {"SHARE": "b"}])
    for _ in range(2):
        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(pool.call, [0.5, 0.5])) == ["a", "b"]
        pool.close()


def test_a_fork_gets_processes_of_its_own(make_pool):
    pool = make_pool("sleep", size=1)
    ours = pool.call(0)
    child = os.fork()
    if child == 0:
        os._exit(0 if pool.call(0) != ours else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.call(0) == ours


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1+1", ""),
        ("(" * MAX_NESTING, ""),
        ("[({" * MAX_NESTING, "nests deeper than 32 levels"),
        ("1" * MAX_CHARS, ""),
        ("1" * (MAX_CHARS + 1), "longer than 2000 characters"),
    ],
)
def test_refuses_what_no_parser_should_see(text, reason):
    assert refuse(text) == reason
