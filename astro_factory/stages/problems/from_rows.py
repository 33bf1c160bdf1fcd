"""From the rows of a table to problems: columns are mapped, answers checked, faults reported by row."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.canonical import digest
from astro_factory.core.context import Events, StageContext
from astro_factory.core.errors import Diagnostic, UserError, near
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import write_table
from astro_factory.stages.problems.answer_forms import FormError, answer_text, proposal, unnamed_choices
from astro_factory.stages.problems.choices import Choices, read_choices, shuffled, with_options
from astro_factory.stages.problems.rows import Fields, Row, RowsConfig
from astro_factory.verifiers import get_verifier

_ROWS_NAMED = 5
_CAUSES_NAMED = 10
_SHOWN_CHARS = 80
_FIX_ROWS = "fix these rows, or leave them out with `unreadable: drop`"


def write_problems(ctx: StageContext, rows: Iterable[Row], config: RowsConfig, source: str) -> None:
    """Write the `problems` artifact of all rows. `source` is the name of the table in messages.

    Raises:
        UserError: as `read_problems`.
    """
    problems = read_problems(rows, config, source, ctx.events)
    # a changed verifier must change the content of this artifact, and so the keys of what uses it
    version = str(get_verifier(config.verifier).version)
    verifier = " ".join(dict.fromkeys((config.verifier, version, config.verifier_code))).rstrip()
    schema = problem_schema().with_metadata({"verifier": verifier})
    write_table(ctx.out / TABLE_FILES[ArtifactType.PROBLEMS], (p.as_row() for p in problems), schema)
    ctx.events.progress(len(problems), len(problems), "problems")


def read_problems(rows: Iterable[Row], config: RowsConfig, source: str, events: Events) -> list[Problem]:
    """The problems that the rows make, with what was left out in the log.

    Raises:
        UserError: E421 to E425, each with the rows concerned.
    """
    rows = list(rows)
    check_columns(rows, config.fields, source)
    if unused := _unused(rows, config.fields):
        events.log(f"{source}: columns that are not used: {', '.join(unused)}")
    candidates = _distinct(_shared(rows, config), config, source, events)
    problems = [_finished(candidate, config) for candidate in _readable(candidates, config, source, events)]
    if not problems:
        raise UserError.of("E425", f"no problem of {source} is left", "look at 'share' and 'unreadable'")
    return problems


class _Candidate(NamedTuple):
    label: str
    problem: Problem
    fault: str
    """Why the row cannot be a problem, if its columns alone show it."""
    choices: Choices | None
    raw: Any
    """The answer as the row has it."""


def check_columns(rows: Sequence[Row], fields: Fields, source: str) -> None:
    """Raises `UserError` E421 without rows, E422 for columns that no row has, E424 for options that nothing names."""
    if not rows:
        raise UserError.of("E421", f"{source} holds no rows", "name a table with at least one problem")
    found = {column for row in rows for column in row.values}
    missing = [column for column in dict.fromkeys(fields.columns()) if column not in found]
    if missing:
        raise UserError(
            *(Diagnostic("E422", f"{source} has no column '{column}'", near(column, found)) for column in missing)
        )
    if column := unnamed_choices(rows, fields):
        cause = f"{source} is multiple choice: the options are in the column '{column}', which no field names"
        remedy = f"write `fields: {{choices: {column}}}`, or `info: [{column}]` to ask without the options"
        raise UserError.of("E424", cause, remedy)


def check_first_rows(rows: Sequence[Row], config: RowsConfig, source: str) -> None:
    """What a few rows show without a verifier: columns, options, and the form of the answers.

    Raises:
        UserError: E422 and E424, as `read_problems`.
    """
    check_columns(rows, config.fields, source)
    if config.unreadable == "drop":
        return
    if config.answer_form == "value" and not config.fields.choices and all(_is_solution(row, config) for row in rows):
        cause = f"{source}: the answers are worked solutions, with `####` before the answer itself"
        raise UserError.of("E424", cause, "write `answer_form: solution`")
    if found := [candidate for candidate in (_candidate(row, config) for row in rows) if candidate.fault]:
        fault = found[0].fault
        cause = _cause(source, [(candidate, fault) for candidate in found if candidate.fault == fault])
        raise UserError.of("E424", cause, proposal([c.raw for c in found], config, None) or _FIX_ROWS)


def _is_solution(row: Row, config: RowsConfig) -> bool:
    return "\n####" in str(row.values.get(config.fields.answer))


def _unused(rows: Sequence[Row], fields: Fields) -> list[str]:
    return [column for column in dict.fromkeys(c for row in rows for c in row.values) if column not in fields.columns()]


def _shared(rows: list[Row], config: RowsConfig) -> Iterator[_Candidate]:
    """The rows in the configured share."""
    low, high = config.share
    for row in rows:
        candidate = _candidate(row, config)
        if low <= int(digest(candidate.problem.question)[:13], 16) / 16**13 < high:
            yield candidate


def _candidate(row: Row, config: RowsConfig) -> _Candidate:
    fields, fault, choices = config.fields, "", None
    values = {name: row.values.get(getattr(fields, name)) for name in ("id", "question", "answer", "level")}
    raw = values.pop("answer")
    text = {name: "" if value is None else str(value).strip() for name, value in values.items()}
    info = {column: row.values.get(column) for column in fields.info}
    if half := _half_character([text, raw, info]):
        text, raw, info = {name: "" for name in text}, None, {}
        fault = f"there is half of a character ({half}), which no text can contain"
    nested = next((name for name, value in values.items() if isinstance(value, list | dict)), "")
    if nested and not fault:
        fault = f"the {nested} is a {type(values[nested]).__name__}, not a text or a number"
    answer = ""
    if not fault:
        try:
            if columns := fields.choice_columns():
                choices = read_choices(row.values, columns, raw, config.first_choice)
                answer = choices.answer
            else:
                answer = answer_text(raw, config.answer_form)
        except (FormError, ValueError) as error:
            fault = str(error)
    text["id"] = text["id"] if fields.id else digest(text["question"])[:16]
    empty = next((name for name in ("question", "id") if not text[name]), "")
    problem = Problem(**text, answer=answer, verifier=config.verifier, info=info)
    return _Candidate(row.label, problem, fault or (f"the {empty} is empty" if empty else ""), choices, raw)


def _half_character(value: object) -> str:
    """The first unpaired surrogate in a value, as JSON escapes it; empty if there is none."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError as error:
        return f"\\u{ord(error.object[error.start]):04x}"
    return ""


def _distinct(candidates: Iterable[_Candidate], config: RowsConfig, source: str, events: Events) -> list[_Candidate]:
    """Each problem once. Two problems with one identifier, or two answers to one question, are errors or dropped."""
    column, dropping = config.fields.id, config.unreadable == "drop"
    seen: dict[tuple[str, str], _Candidate] = {}
    clashes: dict[str, list[str]] = {}
    for candidate in candidates:
        identity = candidate.problem.id
        first = seen.setdefault((identity, "" if identity else candidate.label), candidate)
        same = (
            first.problem.answer == candidate.problem.answer
            and first.problem.question == candidate.problem.question
            and first.choices == candidate.choices
        )
        if first is not candidate and not (same and (dropping or not column)):
            clashes.setdefault(identity, [first.label]).append(candidate.label)
    what = f"the identifier '{{}}' (column '{column}')" if column else "one question with different answers"
    causes = [f"{source}: {what.format(name)} is in {_listed(labels)}" for name, labels in clashes.items()]
    if causes and not dropping:
        one = "give every problem an identifier of its own" if column else "keep one of the rows"
        remedy = f"{one}, or leave them out with `unreadable: drop`"
        raise UserError(*(Diagnostic("E423", cause, remedy) for cause in causes[:_CAUSES_NAMED]))
    for cause in causes:
        events.log(f"left out: {cause}")
    return [candidate for candidate in seen.values() if candidate.problem.id not in clashes]


def _readable(
    candidates: Sequence[_Candidate], config: RowsConfig, source: str, events: Events
) -> Iterator[_Candidate]:
    """The first `limit` problems that their verifier can read."""
    verifier = get_verifier(config.verifier)
    faults: dict[str, list[tuple[_Candidate, str]]] = defaultdict(list)
    kept = 0
    for candidate in candidates:
        if kept == config.limit:
            break
        asked = _with_options(candidate, config)
        if reason := candidate.fault or verifier.check_problem(asked.problem):
            faults[_kind(reason)].append((candidate, reason))
            continue
        kept += 1
        yield asked
        events.progress(kept, min(config.limit or len(candidates), len(candidates)), "problems")
    causes = [_cause(source, found) for found in faults.values()]
    if causes and config.unreadable == "error":
        failed = [candidate.raw for found in faults.values() for candidate, _ in found]
        fix = proposal(failed, config, verifier) or _FIX_ROWS
        raise UserError(*(Diagnostic("E424", cause, fix) for cause in causes[:_CAUSES_NAMED]))
    for cause in causes:
        events.log(f"left out: {cause}")


def _kind(reason: str) -> str:
    """A reason without what differs from row to row, so that a thousand rows with one fault are one cause."""
    return re.sub(r"'.*'", "'…'", reason.partition(": ")[0], flags=re.DOTALL)


def _cause(source: str, found: Sequence[tuple[_Candidate, str]]) -> str:
    labels, reasons = [candidate.label for candidate, _ in found], {reason for _, reason in found}
    first, reason = found[0]
    if len(reasons) == 1:
        return f"{source}: {reason} in {_listed(labels)}"
    shown = " ".join(str(first.raw).split())
    shown = shown if len(shown) <= _SHOWN_CHARS else shown[: _SHOWN_CHARS - 1] + "…"
    return f"{source}: {_kind(reason)} in {_listed(labels)}; the first is {shown!r} ({reason.partition(': ')[2]})"


def _with_options(candidate: _Candidate, config: RowsConfig) -> _Candidate:
    """The candidate with its options in the question, shuffled where that is configured."""
    if (choices := candidate.choices) is None:
        return candidate
    problem = candidate.problem
    if config.shuffle_choices is not None:
        choices = shuffled(choices, config.shuffle_choices, problem.id)
    question, info = with_options(problem.question, choices), problem.info | {"options": choices.options}
    return candidate._replace(problem=replace(problem, question=question, answer=choices.answer, info=info))


def _finished(candidate: _Candidate, config: RowsConfig) -> Problem:
    problem = candidate.problem
    return replace(problem, question=f"{problem.question}\n\n{config.instruction}") if config.instruction else problem


def _listed(labels: list[str]) -> str:
    more = len(labels) - _ROWS_NAMED
    return ", ".join(labels[:_ROWS_NAMED]) + (f" and {more} more" if more > 0 else "")
