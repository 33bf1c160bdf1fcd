"""Problems from the rows of an existing table: columns are mapped, answers checked, faults reported by row."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import digest
from astro_factory.core.config import Config, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, UserError, near
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import write_table
from astro_factory.verifiers import get_verifier, is_known, verifier_code, verifier_names
from astro_factory.verifiers.math.extraction import final_answer

_ROWS_NAMED = 5
_CAUSES_NAMED = 10


class Row(NamedTuple):
    """One row with its name in messages, such as `line 12`."""

    label: str
    values: Mapping[str, Any]


class Fields(Config):
    """Names of the columns."""

    question: str = "question"
    """Column of the question."""
    answer: str = "answer"
    """Column of the known answer; empty if the verifier needs none."""
    id: str = ""
    """Column of the identifier. Default: a digest of the question, and equal rows are merged."""
    level: str = ""
    """Column that reports group results by, such as a difficulty."""
    info: list[str] = Field(default_factory=list)
    """Further columns that the verifier needs."""

    def columns(self) -> list[str]:
        """All columns that must exist."""
        return [column for column in (self.question, self.answer, self.id, self.level, *self.info) if column]


class RowsConfig(StageConfig):
    """The fields of every source of existing problems."""

    fields: Fields = Field(default_factory=Fields)
    """Names of the columns."""
    verifier: str = "math"
    """The verifier that decides whether an answer is correct."""
    verifier_code: str = Field(default_factory=lambda known: verifier_code(known.get("verifier", "")))
    """Digest of the source of a verifier that is not built in, so that a changed source changes the key. Write
    something else, such as a version, to decide yourself when it has changed."""
    answer_form: Literal["value", "solution"] = "value"
    """`value`: the column is the answer; `solution`: it is a worked solution that states the answer (boxed or after
    `####`)."""
    instruction: str = ""
    """Text appended to every question, such as the form of the answer."""
    share: tuple[float, float] = (0.0, 1.0)
    """Keep the questions whose digest, as a number from 0 to 1, is in this range, excluding its upper end. [0, 0.9] and
    [0.9, 1] never share a question, whatever the order of the rows."""
    limit: int | None = Field(None, gt=0)
    """Most problems; the first ones are kept."""
    unreadable: Literal["error", "drop"] = "error"
    """What to do with problems that the verifier cannot read, or that contradict each other: report them as an error,
    or drop them."""

    @model_validator(mode="after")
    def _range(self) -> "RowsConfig":
        low, high = self.share
        if not 0 <= low < high <= 1:
            raise ValueError("share needs two numbers with 0 <= low < high <= 1")
        return self


def check_verifier(name: str) -> list[Diagnostic]:
    """What is wrong with a verifier's name, found without loading the verifier."""
    try:
        if is_known(name):
            return []
    except UserError as error:
        return error.diagnostics
    return [Diagnostic("E401", f"unknown verifier '{name}'", near(name, verifier_names()))]


def write_problems(ctx: StageContext, rows: Iterable[Row], config: RowsConfig, source: str) -> None:
    """Write the `problems` artifact of all rows. `source` is the name of the table in messages.

    Raises:
        UserError: E421 to E425, each with the rows concerned.
    """
    rows = list(rows)
    _check_columns(rows, config.fields, source)
    candidates = _distinct(ctx, _shared(rows, config), config, source)
    problems = [_instructed(problem, config.instruction) for problem in _readable(ctx, candidates, config, source)]
    if not problems:
        raise UserError.of("E425", f"no problem of {source} is left", "look at 'share' and 'unreadable'")
    # a changed verifier must change the content of this artifact, and so the keys of what uses it
    version = str(get_verifier(config.verifier).version)
    verifier = " ".join(dict.fromkeys((config.verifier, version, config.verifier_code))).rstrip()
    schema = problem_schema().with_metadata({"verifier": verifier})
    write_table(ctx.out / TABLE_FILES[ArtifactType.PROBLEMS], (p.as_row() for p in problems), schema)
    ctx.events.progress(len(problems), len(problems), "problems")


class _Candidate(NamedTuple):
    label: str
    problem: Problem
    fault: str
    """Why the row cannot be a problem, if its columns alone show it."""


def _check_columns(rows: list[Row], fields: Fields, source: str) -> None:
    if not rows:
        raise UserError.of("E421", f"{source} holds no rows", "name a table with at least one problem")
    found = {column for row in rows for column in row.values}
    missing = [column for column in dict.fromkeys(fields.columns()) if column not in found]
    if missing:
        raise UserError(
            *(Diagnostic("E422", f"{source} has no column '{column}'", near(column, found)) for column in missing)
        )


def _shared(rows: list[Row], config: RowsConfig) -> Iterator[_Candidate]:
    """The rows in the configured share."""
    low, high = config.share
    for row in rows:
        candidate = _candidate(row, config)
        if low <= int(digest(candidate.problem.question)[:13], 16) / 16**13 < high:
            yield candidate


def _candidate(row: Row, config: RowsConfig) -> _Candidate:
    fields = config.fields
    values = {name: row.values.get(getattr(fields, name)) for name in ("id", "question", "answer", "level")}
    text = {name: "" if value is None else str(value).strip() for name, value in values.items()}
    if config.answer_form == "solution":
        text["answer"] = final_answer(text["answer"])
    if not fields.id:
        text["id"] = digest(text["question"])[:16]
    nested = [name for name, value in values.items() if isinstance(value, list | dict)]
    fault = f"the {nested[0]} is a {type(values[nested[0]]).__name__}, not a text or a number" if nested else ""
    empty = [name for name in ("question", "id") if not text[name]]
    info = {column: row.values.get(column) for column in fields.info}
    problem = Problem(**text, verifier=config.verifier, info=info)
    return _Candidate(row.label, problem, fault or (f"the {empty[0]} is empty" if empty else ""))


def _distinct(ctx: StageContext, candidates: Iterable[_Candidate], config: RowsConfig, source: str) -> list[_Candidate]:
    """Each problem once. Two problems with one identifier, or two answers to one question, are errors or dropped."""
    column, dropping = config.fields.id, config.unreadable == "drop"
    seen: dict[tuple[str, str], _Candidate] = {}
    clashes: dict[str, list[str]] = {}
    for candidate in candidates:
        identity = candidate.problem.id
        first = seen.setdefault((identity, "" if identity else candidate.label), candidate)
        same = first.problem.answer == candidate.problem.answer and first.problem.question == candidate.problem.question
        if first is not candidate and not (same and (dropping or not column)):
            clashes.setdefault(identity, [first.label]).append(candidate.label)
    what = f"the identifier '{{}}' (column '{column}')" if column else "one question with different answers"
    causes = [f"{source}: {what.format(name)} is in {_listed(labels)}" for name, labels in clashes.items()]
    if causes and not dropping:
        one = "give every problem an identifier of its own" if column else "keep one of the rows"
        remedy = f"{one}, or leave them out with `unreadable: drop`"
        raise UserError(*(Diagnostic("E423", cause, remedy) for cause in causes[:_CAUSES_NAMED]))
    for cause in causes:
        ctx.events.log(f"left out: {cause}")
    return [candidate for candidate in seen.values() if candidate.problem.id not in clashes]


def _readable(
    ctx: StageContext, candidates: Sequence[_Candidate], config: RowsConfig, source: str
) -> Iterator[Problem]:
    """The first `limit` problems that their verifier can read."""
    verifier = get_verifier(config.verifier)
    faults: dict[str, list[str]] = defaultdict(list)
    kept = 0
    for label, problem, fault in candidates:
        if kept == config.limit:
            break
        if reason := fault or verifier.check_problem(problem):
            faults[reason].append(label)
            continue
        kept += 1
        yield problem
        ctx.events.progress(kept, min(config.limit or len(candidates), len(candidates)), "problems")
    causes = [f"{source}: {reason} in {_listed(labels)}" for reason, labels in faults.items()]
    if causes and config.unreadable == "error":
        remedy = "fix these rows, or leave them out with `unreadable: drop`"
        raise UserError(*(Diagnostic("E424", cause, remedy) for cause in causes[:_CAUSES_NAMED]))
    for cause in causes:
        ctx.events.log(f"left out: {cause}")


def _instructed(problem: Problem, instruction: str) -> Problem:
    return replace(problem, question=f"{problem.question}\n\n{instruction}") if instruction else problem


def _listed(labels: list[str]) -> str:
    more = len(labels) - _ROWS_NAMED
    return ", ".join(labels[:_ROWS_NAMED]) + (f" and {more} more" if more > 0 else "")
