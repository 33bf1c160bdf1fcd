"""A worker answers, fails or is killed, and the caller can always tell which."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.workers import Worker, WorkerDied, WorkerError, WorkerTimeout

HERE = "tests.core.worker_functions"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition, limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.05)


def test_answers_in_order_and_survives_an_exception():
    with Worker(f"{HERE}:double") as worker:
        assert worker.call(4) == 8
        with pytest.raises(WorkerError, match="TypeError"):
            worker.call(None)
        assert worker.call("ab") == "abab"


def test_a_user_error_comes_through_whole():
    with Worker(f"{HERE}:refuse") as worker, pytest.raises(UserError) as caught:
        worker.call("x")
    assert [(d.code, d.cause, d.remedy) for d in caught.value.diagnostics] == [("E999", "refused 'x'", "ask again")]


def test_a_call_past_its_limit_is_killed():
    worker = Worker(f"{HERE}:sleep")
    pid = worker.call(0)
    with pytest.raises(WorkerTimeout, match=r"no answer within 0\.3 s"):
        worker.call(60, timeout_s=0.3)
    assert not alive(pid)


def test_a_death_during_a_call_is_reported():
    worker = Worker(f"{HERE}:die")
    with pytest.raises(WorkerDied, match="status 7"):
        worker.call(7)
    with pytest.raises(WorkerDied):
        worker.call(7)


def test_the_memory_limit_holds_and_the_worker_goes_on():
    with Worker(f"{HERE}:allocate", memory_bytes=512 << 20) as worker:
        with pytest.raises(WorkerError, match="MemoryError"):
            worker.call(1 << 30)
        assert worker.call(1 << 20) == 1 << 20


def test_a_worker_started_in_a_thread_outlives_it():
    workers = []
    thread = threading.Thread(target=lambda: workers.append(Worker(f"{HERE}:double")))
    thread.start()
    thread.join()
    with workers[0] as worker:
        time.sleep(0.7)
        assert worker.call(1) == 2


@pytest.mark.parametrize("busy", [0, 60])
def test_a_worker_exits_when_its_parent_is_killed(busy):
    script = f"""
import sys, threading
from astro_factory.core.workers import Worker
worker = Worker("{HERE}:sleep")
print(worker.call(0), flush=True)
worker.call({busy}) if {busy} else sys.stdin.read()
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    wait_until(lambda: not alive(pid))


@pytest.mark.parametrize("respawn", [False, True])
def test_cpu_time_is_limited_apart_from_elapsed_time(respawn):
    """Sleeping uses no CPU time; one long operation of the interpreter is interrupted."""
    with Worker(f"{HERE}:sleep", respawn=respawn) as worker:
        assert worker.call(0.6, cpu_s=0.3)
    with Worker(f"{HERE}:spin", respawn=respawn) as worker:
        with pytest.raises(WorkerTimeout, match=r"no answer within 0\.3 s of CPU time"):
            worker.call(None, timeout_s=60, cpu_s=0.3)
        assert worker.alive == respawn


def test_a_respawned_worker_answers_again_at_once():
    with Worker(f"{HERE}:die_or_return_pid", respawn=True) as worker:
        first = worker.call(None)
        assert worker.call(None) == first
        for _ in range(3):
            with pytest.raises(WorkerDied, match="status 7"):
                worker.call(7)
        assert worker.call(None) != first


def test_a_late_answer_is_not_taken_for_the_next_one():
    """A worker that dies between two calls fails at most the next one."""
    with Worker(f"{HERE}:die_or_return_pid", respawn=True) as worker:
        os.kill(worker.call(None), signal.SIGKILL)
        wait_until(lambda: worker._connection.poll())
        with pytest.raises(WorkerDied):
            worker.call(None)
        pid = worker.call(None)
        assert alive(pid) and worker.call(None) == pid


def test_what_a_respawning_worker_started_ends_with_it():
    worker = Worker(f"{HERE}:die_or_return_pid", respawn=True)
    pid = worker.call(None)
    worker.close()
    wait_until(lambda: not alive(pid))
