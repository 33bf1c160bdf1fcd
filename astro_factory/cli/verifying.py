"""`verify`: judges the answers in a file."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from astro_factory.cli.options import JsonOption, TrustOption, print_json
from astro_factory.core.code_folders import folders_of, looking_in, make_importable
from astro_factory.core.errors import Place, UserError, near, shown
from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Verdict
from astro_factory.spec.named_code import find_code, require_unambiguous

_OWN = "python:"
_COLUMNS = ("gold", "answer")


def verify(
    rows: Annotated[Path, typer.Argument(metavar="ROWS", help="JSON Lines, JSON, CSV or Parquet.", show_default=False)],
    kind: Annotated[
        str, typer.Option("--kind", help="The verifier, such as countdown or python:MODULE:CLASS.")
    ] = "math",
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judge rows with `gold` and `answer` (a whole response). Prints one verdict per row, in order.

    Modules of your own are found in this folder and in `specs/`.
    """
    from astro_factory.verifiers import get_verifier
    from astro_factory.verifiers.pool import worker_count

    if kind.startswith(_OWN):
        _enable(kind.removeprefix(_OWN), trust)
    verifier = get_verifier(kind)
    problems = list(_problems(rows, kind))
    counts: Counter[str] = Counter()
    threads = ThreadPoolExecutor(worker_count())
    try:
        for number, verdict in enumerate(threads.map(lambda row: verifier.verify(*row), problems), start=1):
            counts[str(verdict.outcome)] += 1
            if as_json:
                print_json(_row(verdict))
            else:
                print(f"{number:>6} {verdict.outcome:16} {' '.join(verdict.extracted.split())}".rstrip())
    finally:
        # an interrupt does not wait for comparisons that are running
        threads.shutdown(wait=False, cancel_futures=True)
    if not as_json:
        print(", ".join(f"{count} {name}" for name, count in counts.most_common()) or "no rows")


def _enable(target: str, trust: bool) -> None:
    """Make a user-defined verifier importable. Raises `UserError` E190 if it is code of a publication."""
    from astro_factory.plan.code_access import require_trust

    with looking_in([*folders_of(Path()), *folders_of(Path("specs"))]):
        code = find_code(target, "verifier", "E402")
        require_unambiguous(code)
    require_trust([code], trust)
    make_importable(code.modules)


def _problems(path: Path, kind: str) -> Iterator[tuple[Problem, str]]:
    """Each row as a problem and a response. Raises `UserError` E101, E422, E426, E427."""
    from astro_factory.stages.problems.table_files import SUFFIXES, read_rows

    if path.suffix not in SUFFIXES:
        raise UserError.of("E426", f"'{path}' has no known format", f"use a file ending in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UserError.of("E101", f"there is no file {shown(path)}", "name a file of rows")
    for label, values in read_rows(path, shown(path), lambda note: None):
        for column in _COLUMNS:
            if column not in values:
                cause = f"{label} has no '{column}'"
                raise UserError.of("E422", cause, near(column, values), Place(shown(path)))
        info = values.get("info")
        gold, answer, question = (_text(values.get(column)) for column in (*_COLUMNS, "question"))
        yield Problem(label, question, gold, kind, info if isinstance(info, dict) else {}), answer


def _text(value: Any) -> str:
    """A cell as printable text, without unpaired surrogates."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def _row(verdict: Verdict) -> dict[str, str]:
    return {
        "verdict": str(verdict.outcome),
        "extracted": verdict.extracted,
        "parsed": verdict.parsed,
        "gold": verdict.gold,
        "detail": verdict.detail,
    }


COMMANDS = (verify,)
