"""What `benchmarks.verify` prints beside speed: attacks, times of extraction, errors beside math-verify's."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome, Verdict
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.gym import extract
from astro_factory.verifiers.math.extraction import final_answer
from benchmarks.domain_attack import DomainAttack, countdown_attacks, gym_attacks
from benchmarks.verdict_attack import pairs

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "tests/verifiers/math"
SHARED = ROOT.parent / "shared/data"
THREADS = 2
Row = dict[str, Any]


def run_attacks(seed: int, count: int) -> dict[str, Any]:
    """Judge `count` pairs of the math verifier, a fifth as many of countdown and a twentieth of reasoning-gym."""
    suites: dict[str, Iterable[DomainAttack]] = {
        "math": (DomainAttack(_problem(a.gold), a.answer, a.is_right, a.kind) for a in pairs(seed, count)),
        "countdown": countdown_attacks(seed, count // 5),
        "reasoning_gym": gym_attacks(seed, count // 20),
    }
    found: dict[str, Any] = {"seed": seed}
    for name, attacks in suites.items():
        attacks = list(attacks)
        start = time.perf_counter()
        verdicts = judge_all([(attack.problem, attack.response) for attack in attacks])
        wrong = [(a, v) for a, v in zip(attacks, verdicts, strict=True) if v.correct != a.is_right]
        for attack, verdict in wrong[:20]:
            fault = "false positive" if verdict.correct else "false negative"
            print(f"  {fault}: {attack.kind}: {attack.problem.answer} | {attack.response!r} | {verdict}")
        found[name] = {
            "pairs": len(attacks),
            "false_positives": sum(verdict.correct for _, verdict in wrong),
            "false_negatives": sum(not verdict.correct for _, verdict in wrong),
            "errors": sum(verdict.outcome is Outcome.ERROR for verdict in verdicts),
            "timeouts": sum(verdict.outcome is Outcome.TIMEOUT for verdict in verdicts),
            "seconds": round(time.perf_counter() - start, 1),
        }
    return found


LONG_RESPONSES: dict[str, str] = {
    "64,000 spaces behind <answer>": "<answer>" + " " * 64_000,
    "16,000 boxes in one another": "\\boxed{" * 16_000,
    "16,000 closed boxes": "\\boxed{" * 16_000 + "1" + "}" * 16_000,
    "100,000 line breaks": "the answer is " + "\n" * 100_000,
    "16,000 <answer>": "<answer>" * 16_000,
    "16,000 <answer> on lines": "<answer>\n" * 16_000 + "</answer>",
    "16,000 \\fbox": "\\fbox{" * 16_000 + "}" * 8_000,
    "64,000 spaces in a statement": "The answer is 7" + " " * 64_000 + "x",
    "12,000 statements": "answer is " * 12_000,
    "100,000 dollar signs": "$" * 100_000,
    "a million characters": "\\boxed{" + "7" * 1_000_000 + "}",
    "a million characters, cut off": "\\boxed{" + "x+" * 500_000,
    "100,000 braces": "{" * 100_000,
}


def extraction_times() -> dict[str, float]:
    """Milliseconds of computing to extract the answer from each hostile response, by the slower of two verifiers."""
    return {
        name: round(max(_milliseconds(final_answer, text), _milliseconds(extract, text)), 1)
        for name, text in LONG_RESPONSES.items()
    }


def _milliseconds(function: Callable[[str], str], text: str) -> float:
    start = time.process_time()
    function(text)
    return (time.process_time() - start) * 1000


def comparison_table(public: int) -> list[Row]:
    """Errors of both tools by set and type of answer, and how many verdicts a second each gives.

    Args:
        public: how many public gold answers are compared with themselves; each has to be right.
    """
    sets = {name: _rows(ROWS / f"{name}.jsonl") for name in ("labelled", "held_out", "verdict_cases")}
    golds = _rows(SHARED / "golds.jsonl")
    step = max(1, len(golds) // public) if public else 1
    sets["public"] = [
        {
            "type": row["source"].partition("/")[0],
            "gold": row["gold"],
            "answer": rf"\boxed{{{row['gold']}}}",
            "verdict": "correct",
        }
        for row in golds[::step]
    ]
    return [line for name, rows in sets.items() if rows for line in _lines(name, rows)]


def _lines(name: str, rows: Sequence[Row]) -> Iterable[Row]:
    start = time.perf_counter()
    ours = [verdict.correct for verdict in judge_all([(_problem(row["gold"]), row["answer"]) for row in rows])]
    ours_s = time.perf_counter() - start
    start = time.perf_counter()
    theirs = [math_verify(row["gold"], row["answer"]) for row in rows]
    theirs_s = time.perf_counter() - start
    for kind in dict.fromkeys(row.get("type", row.get("kind", "")) for row in rows):
        line: Row = {"set": name, "type": kind, "rows": 0} | dict.fromkeys(
            ("ours_fp", "ours_fn", "math_verify_fp", "math_verify_fn"), 0
        )
        for row, mine, its in zip(rows, ours, theirs, strict=True):
            if row.get("type", row.get("kind", "")) == kind:
                is_right = row["verdict"] == "correct"
                line["rows"] += 1
                line["ours_fp"] += mine and not is_right
                line["ours_fn"] += not mine and is_right
                line["math_verify_fp"] += its and not is_right
                line["math_verify_fn"] += not its and is_right
        yield line
    yield {
        "set": name, "type": "all", "rows": len(rows),
        "ours_fp": sum(mine and row["verdict"] != "correct" for row, mine in zip(rows, ours, strict=True)),
        "ours_fn": sum(not mine and row["verdict"] == "correct" for row, mine in zip(rows, ours, strict=True)),
        "math_verify_fp": sum(its and row["verdict"] != "correct" for row, its in zip(rows, theirs, strict=True)),
        "math_verify_fn": sum(not its and row["verdict"] == "correct" for row, its in zip(rows, theirs, strict=True)),
        "ours_per_s": round(len(rows) / ours_s, 1), "math_verify_per_s": round(len(rows) / theirs_s, 1),
    }  # fmt: skip


def show_table(lines: Iterable[Row]) -> None:
    """Print the comparison as a Markdown table."""
    print("| set | type | rows | ours: false + / - | math-verify: false + / - | verdicts/s: ours, math-verify |")
    print("|---|---|---|---|---|---|")
    for line in lines:
        rates = f"{line['ours_per_s']}, {line['math_verify_per_s']}" if "ours_per_s" in line else ""
        print(
            f"| {line['set']} | {line['type']} | {line['rows']} | {line['ours_fp']} / {line['ours_fn']} "
            f"| {line['math_verify_fp']} / {line['math_verify_fn']} | {rates} |"
        )


def refused_golds() -> list[tuple[str, str, int]]:
    """Public gold answers that the verifier does not take, counted by source and reason."""
    rows = _rows(SHARED / "golds.jsonl")
    verdicts = judge_all([(_problem(row["gold"]), rf"\boxed{{{row['gold']}}}") for row in rows])
    counts = Counter(
        (row["source"].partition("/")[0], _reason(verdict))
        for row, verdict in zip(rows, verdicts, strict=True)
        if not verdict.correct
    )
    return [(source, reason, count) for (source, reason), count in counts.most_common()]


def _reason(verdict: Verdict) -> str:
    what = "no formula" if verdict.detail.endswith("is no formula") else verdict.detail
    return f"{verdict.outcome}: {what}" if what else str(verdict.outcome)


def judge_all(tasks: Sequence[tuple[Problem, str]]) -> list[Verdict]:
    """Verdicts in the order of the tasks."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(lambda task: get_verifier(task[0].verifier).verify(*task), tasks))


def math_verify(gold: str, response: str) -> bool:
    """The verdict of math-verify; an exception is a wrong answer."""
    from math_verify import parse, verify

    try:
        return bool(verify(parse(f"${gold}$"), parse(response)))
    except Exception:
        return False


def _problem(gold: str) -> Problem:
    return Problem("p", "", gold, "math")


def _rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
