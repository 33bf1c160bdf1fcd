"""A stage process that outlives its killed builder for a moment."""

import fcntl
import os
import threading
import time


def test_a_build_waits_for_the_dying_process_of_a_killed_one(bench):
    """The test holds the folder as such a process does, and lets go after a while."""
    bench.write("a: {kind: light}")
    staging = bench.store.staging(bench.plan().nodes["a"].key)
    (staging / "out").mkdir(parents=True)
    left = staging / "out/late.txt"
    handle = os.open(staging, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)

    def end() -> None:
        time.sleep(1)
        left.write_text("written at the last moment")
        os.close(handle)

    thread = threading.Thread(target=end)
    thread.start()
    done = bench.build()
    thread.join()
    assert done.outcomes == {"a": "ran"} and list(done.results["a"].outputs) == ["out.txt"]
    text = "waiting for a stage process of a killed build to end"
    assert ("a", {"event": "log", "text": text}) in bench.events
