"""Python imports this module at the start of every process whose path has this folder: clocks and waits of tests.

ASTRO_TEST_CLOCK is how far the clock is wrong, in seconds, from the moment ASTRO_TEST_CLOCK_FROM on. ASTRO_TEST_SLEEP
is the longest that a process sleeps.
"""

import os
import time

_time, _time_ns, _sleep = time.time, time.time_ns, time.sleep
_OFFSET = float(os.environ.get("ASTRO_TEST_CLOCK", "0"))
_FROM = float(os.environ.get("ASTRO_TEST_CLOCK_FROM", "0"))
_LONGEST = float(os.environ.get("ASTRO_TEST_SLEEP", "0"))

if _OFFSET:
    time.time = lambda: _time() + _OFFSET * (_time() >= _FROM)
    time.time_ns = lambda: _time_ns() + int(_OFFSET * 1e9) * (_time() >= _FROM)
if _LONGEST:
    time.sleep = lambda seconds: _sleep(min(seconds, _LONGEST))
