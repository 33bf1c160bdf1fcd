"""The math verifier against plain math-verify: checks per second, the cost of hostile answers, and the error rate.

    python -m benchmarks.verify --quick --json     # speed, memory, errors
    python -m benchmarks.verify --attack --seed 3  # 20,000 pairs that a policy under training might try
    python -m benchmarks.verify --table            # errors beside math-verify's, by set and type of answer
    python -m benchmarks.verify --refused          # which public gold answers are refused, and why
    python -m benchmarks.verify --times            # milliseconds to extract from hostile responses

Both judge the same pairs in one run: ours in a pool of two processes, math-verify with `parse` and `verify` in this
process; `per_cpu_s` are rates in CPU time, which other work on the machine hardly affects. No symbolic pair occurs
twice, so caches do not help. The hostile answers run into a limit of 30 ms of CPU time, and the same kind of checks is
timed before and after them, the best of three rounds each. The rows of
tests/verifiers/math/held_out.jsonl were written before any rule was tried on them. The last line is JSON.
"""

import argparse
import contextlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from astro_factory.core.problems import Problem
from astro_factory.core.workers import WorkerError, WorkerTimeout
from astro_factory.verifiers.math import verifier as math_verifier
from astro_factory.verifiers.math.verifier import MathVerifier
from astro_factory.verifiers.math.worker import compare
from astro_factory.verifiers.pool import WorkerPool
from benchmarks.verdict_tables import comparison_table, extraction_times, refused_golds, run_attacks, show_table

ROUNDS = 3
SIZE = 2
BOMB_CPU_S = 0.03
HANG_CPU_S = 0.5
Pair = tuple[str, str]


def simple_pairs(count: int) -> list[Pair]:
    """Numbers as answers give them: equal in another form every other time."""
    forms = [("{n}", "{n}.0"), ("{n}", "{m}"), (r"\frac{{{n}}}{{7}}", "{n}/7"), ("{n}.5", r"\frac{{{d}}}{{2}}")]
    return [
        tuple(part.format(n=n, m=n + 1, d=2 * n + 1) for part in forms[n % len(forms)]) for n in range(3, count + 3)
    ]


def symbolic_pairs(count: int, start: int) -> list[Pair]:
    """Formulas, no two alike; the last of the six kinds is wrong."""
    forms = [
        ("x^2+{s}x+{p}", "(x+{a})(x+{b})"),
        (r"{a}\sqrt{{3}}", r"\sqrt{{{t}}}"),
        (r"\frac{{x}}{{x+{a}}}", r"1-\frac{{{a}}}{{x+{a}}}"),
        ("({a},{b})", r"{a}<x<{b}"),
        (r"\sin^2 x+{a}", r"{b}-\cos^2 x"),
        ("y={a}x+{b}", "{a}x-y-{b}=0"),
    ]
    made = []
    for n in range(start, start + count):
        gold, answer = forms[n % len(forms)]
        values = {"a": n, "b": n + 1, "s": 2 * n + 1, "p": n * (n + 1), "t": 3 * n * n}
        made.append((gold.format(**values), answer.format(**values)))
    return made


def bombs(count: int) -> Iterable[Pair]:
    """Answers made to hang, to eat memory, or to break the parser; each a little different."""
    forms = [
        r"\sum_{{k=1}}^{{9999}} \frac{{1}}{{k^{n}+k!}}", r"\prod_{{k=1}}^{{9999}}(1+x^k+{n})", "9^{{9^{{9^{n}}}}}",
        "{n}9999999999!", r"\sin(\sin(\sin(\sin(\sin(\sin(\sin(\sin(\sin(\sin(\sin({n}x)))))))))))" * 3,
        r"\int_0^1 \frac{{\sin(x^{n})}}{{\sqrt{{1+x^7}}}} dx", "((((((((((((((({n}", r"x^{{{n}00000}}+y^{{{n}99999}}",
    ]  # fmt: skip
    return (("1", forms[n % len(forms)].format(n=n)) for n in range(2, count + 2))


def rate(pairs: Sequence[Pair]) -> float:
    """Verdicts per second of our verifier, asked from as many threads as it has processes."""
    verifier = MathVerifier()
    start = time.perf_counter()
    with ThreadPoolExecutor(SIZE) as threads:
        list(threads.map(lambda pair: verifier.verify(_problem(pair[0]), rf"\boxed{{{pair[1]}}}"), pairs))
    return len(pairs) / (time.perf_counter() - start)


def bare_rate(pairs: Sequence[Pair]) -> float:
    """Verdicts per second of math-verify in this process."""
    start = time.perf_counter()
    for gold, answer in pairs:
        _bare_boxed(gold, answer)
    return len(pairs) / (time.perf_counter() - start)


def meet(pool: WorkerPool, pairs: Iterable[Pair], cpu_s: float) -> Counter[str]:
    """Give the pool hostile answers; how many it killed, and how many it answered."""

    def one(pair: Pair) -> str:
        try:
            pool.call(pair, cpu_s)
        except WorkerTimeout:
            return "killed"
        except WorkerError:
            return "failed"
        return "answered"

    with ThreadPoolExecutor(SIZE) as threads:
        return Counter(threads.map(one, pairs))


def overruns(pool: WorkerPool, count: int) -> dict[str, float]:
    """By how much hanging checks outlived their limit at most: in computing time, and by the clock on the wall."""
    wall, computed = [], []
    for n in range(count + 1):
        start, before = time.perf_counter(), killed_cpu_s()
        try:
            pool.call(("1", rf"\sum_{{k=1}}^{{9999}} \frac{{1}}{{k^{n + 2}+k!}}"), HANG_CPU_S)
        except WorkerTimeout:
            wall.append(time.perf_counter() - start - HANG_CPU_S)
            computed.append(killed_cpu_s() - before - HANG_CPU_S)
    # the first one's process has computed for others before
    return {"overrun_cpu_s": max(computed[1:]), "overrun_wall_s": max(wall[1:])}


def cpu_rate(pairs: Sequence[Pair], judge: Any) -> float:
    """Verdicts per second of this process's computing time, whatever else the machine does."""
    start = time.process_time()
    for gold, answer in pairs:
        judge(gold, answer)
    return len(pairs) / (time.process_time() - start)


def pool_cpu_rate(count: int, start: int) -> float:
    """Verdicts per second of the computing time of the pool's processes, on symbolic pairs; the best of some rounds."""
    rates = []
    for number in range(ROUNDS):
        before = _ticks(11)
        rate(symbolic_pairs(count, start + number * count))
        rates.append(count * os.sysconf("SC_CLK_TCK") / (_ticks(11) - before))
    return max(rates)


def killed_cpu_s() -> float:
    """Computing time of all processes that were killed and replaced in the pool so far."""
    return _ticks(13) / os.sysconf("SC_CLK_TCK")


def _ticks(at: int) -> int:
    """Computing time of the pool's processes: their own (field 11 after the name) or that of ended ones (13)."""
    stats = [(folder / "stat").read_text().rpartition(")")[2].split() for folder in _workers()]
    return sum(int(fields[at]) + int(fields[at + 1]) for fields in stats)


def memory_mib() -> float:
    """What the processes below this one take, shared pages counted once."""
    sizes = ((folder / "smaps_rollup").read_text().split("Pss:")[1].split()[0] for folder in _workers())
    return sum(map(int, sizes)) / 1024


def _workers() -> list[Path]:
    """The processes of the pool, in /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"core.workers" in (folder / "cmdline").read_bytes() and _below(int(folder.name)):
                found.append(folder)
    return found


def _below(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def _bare(gold: str, response: str) -> bool:
    from math_verify import parse, verify

    return verify(parse(f"${gold}$"), parse(response))


def _bare_boxed(gold: str, answer: str) -> bool:
    return _bare(gold, rf"\boxed{{{answer}}}")


def _problem(gold: str) -> Problem:
    return Problem("p", "", gold, "math")


def measure(quick: bool) -> dict[str, Any]:
    count = 1200 if quick else 4800
    pool = math_verifier.make_pool(SIZE)
    math_verifier._pool = lambda: pool
    rate(symbolic_pairs(120, 10**6))  # starts the processes and their parsers
    bare_rate(symbolic_pairs(30, 10**6))
    figures: dict[str, Any] = {
        "simple_per_s": rate(simple_pairs(10 * count)),
        "math_verify_simple_per_s": bare_rate(simple_pairs(count)),
        "symbolic_per_s": rate(symbolic_pairs(count, 2)),
        "math_verify_symbolic_per_s": bare_rate(symbolic_pairs(count // 6, 2)),
    }
    figures["symbolic_per_cpu_s"] = cpu_rate(symbolic_pairs(count // 6, 50_000), lambda *pair: compare(pair))
    figures["math_verify_symbolic_per_cpu_s"] = cpu_rate(symbolic_pairs(count // 6, 50_000), _bare_boxed)
    for kind in ("simple", "symbolic"):
        figures[f"{kind}_ratio"] = figures[f"{kind}_per_s"] / figures[f"math_verify_{kind}_per_s"]
    before = pool_cpu_rate(count, 10_000)
    met = meet(pool, bombs(1000), BOMB_CPU_S)
    rate(symbolic_pairs(120, 2 * 10**6))
    figures["after_bombs_ratio"] = pool_cpu_rate(count, 30_000) / before
    figures["bombs"] = dict(met)
    figures |= overruns(pool, 4 if quick else 12)
    figures["memory_mib"] = memory_mib()
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="about a minute instead of several")
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--attack", nargs="?", type=int, const=20_000, metavar="PAIRS", help="only the attack suite")
    parser.add_argument("--seed", type=int, default=1, help="of the attacks (default 1)")
    parser.add_argument("--table", action="store_true", help="only the table of errors beside math-verify")
    parser.add_argument("--public", type=int, default=1500, metavar="ROWS", help="public golds in the table")
    parser.add_argument("--refused", action="store_true", help="only the public golds that are refused, by reason")
    parser.add_argument("--times", action="store_true", help="only the times of extraction")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.attack:
        print(json.dumps(run_attacks(arguments.seed, arguments.attack)))
    elif arguments.times:
        print(json.dumps(extraction_times(), indent=1))
    elif arguments.refused:
        for source, reason, count in refused_golds():
            print(f"{count:>5} {source}: {reason}")
    elif arguments.table:
        show_table(comparison_table(arguments.public))
    else:
        figures = measure(arguments.quick)
        lines = comparison_table(0)
        if not arguments.json:
            show_table(lines)
        print(json.dumps(figures | {"extraction_ms": extraction_times(), "errors_by_type": lines}))


if __name__ == "__main__":
    main()
