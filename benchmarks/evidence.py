"""Recomputes the figures of docs/evidence.json from the samples in docs/samples, and writes
docs/evidence.md with its pictures.

    python -m benchmarks.evidence                  # recompute; exit code 1 if a figure differs from the file
    python -m benchmarks.evidence --update         # store the recomputed figures
    python -m benchmarks.evidence --export quickstart_seed0 specs/quickstart.yaml:report --store .astro

No model is needed: verdicts are computed again from the texts of the responses, then the report from the verdicts.
"""

import argparse
import json
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

import docs.evidence as evidence
from astro_factory.cli.options import built_results, open_store, read_target
from astro_factory.core.canonical import file_digest
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.evaluation.comparison import Comparison
from astro_factory.evaluation.evaluation_results import Evaluation
from astro_factory.evaluation.metrics import interpolated, solved_at, voted_at
from astro_factory.evaluation.report import affordable, by_problem, clusters_of, mean_tokens, report_from_samples
from astro_factory.evaluation.report_schema import Report
from astro_factory.evaluation.seeds import mean_over_seeds
from astro_factory.evaluation.sequential import Attempts
from astro_factory.verifiers import get_verifier
from astro_factory.verifiers.domain_check import domain_check
from astro_factory.verifiers.gym import ReasoningGymVerifier
from docs.evidence import Claim, Figure
from docs.token_picture import picture

TOLERANCE = 1e-4
"""Largest difference that counts as none."""
_DROPPED = ("seed", "detail", "fails_after")
"""Columns of `samples.parquet` that no figure needs."""
_FIRST = ("pass@1", "")
"""Metrics of a figure over seeds; a loop around the model has none."""
_ROWS = 1 << 20
"""Rows in a group: all, since the same question stands in many rows."""


class Export:
    """The samples of one evaluation: a table beside a description of where it comes from."""

    def __init__(self, name: str, folder: Path = evidence.SAMPLES):
        self.table = folder / f"{name}.parquet"
        self.about: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The samples with the verdicts computed again, or kept where reasoning-gym would be needed and is missing."""
        rows = read_table(self.table)
        for row in rows:
            answer, info = row.get("answer", ""), json.loads(row["info"])
            problem = Problem(row["problem"], row["question"], answer, row["verifier"], info=info)
            verifier = get_verifier(row["verifier"])
            if isinstance(verifier, ReasoningGymVerifier) and find_spec("reasoning_gym") is None:
                continue
            row["outcome"] = str(verifier.verify(problem, row["text"]).outcome)
            row |= domain_check(problem, row["text"], row["tokens"])
        return rows

    @cached_property
    def report(self) -> Report:
        return report_from_samples(self.rows, Comparison.model_validate(self.about["comparison"]))

    def is_whole(self) -> bool:
        """Whether the table has the digest that its description holds."""
        return self.about.get("table") == file_digest(self.table)

    def changed_verdicts(self) -> int:
        """How many samples get another verdict than when they were generated."""
        return sum(row["outcome"] != new["outcome"] for row, new in zip(read_table(self.table), self.rows, strict=True))


def figure_of(report: Report, figure: Figure) -> tuple[float, float, float]:
    """A figure of a report with its interval. Raises KeyError if the report does not have it."""
    if figure.kind == "arm":
        found = report.arms[figure.arm][figure.metric]
        return found.value, found.low, found.high
    if figure.kind == "at_limit":
        for curve in report.curves:
            for point in curve.points:
                if (curve.arm, curve.control, point.limit) == (figure.arm, "sample_and_check", figure.limit):
                    return point.value.value, point.value.low, point.value.high
        raise KeyError(figure.arm)
    pair = (figure.arm, figure.baseline)
    if figure.kind == "paired":
        entries = {(entry.arm, entry.baseline): entry for entry in report.paired if entry.metric == figure.metric}
        return entries[pair].difference, entries[pair].low, entries[pair].high
    entry = {(entry.arm, entry.baseline): entry for entry in report.equal_tokens}[pair]
    if figure.kind == "oracle":
        return entry.oracle_value.value, entry.oracle_value.low, entry.oracle_value.high
    controls = {"sample_and_check": entry.sample_and_check, "check_steps": entry.check_steps}
    control = controls.get(figure.kind, entry)
    if control is None:
        raise KeyError(figure.kind)
    return control.difference, control.low, control.high


def over_seeds(figure: Figure, exports: Sequence[Export]) -> tuple[list[float], tuple[float, float, float]]:
    """The figure of each seed's export, and their mean with an interval over seeds and clusters of problems."""
    known, at_least, places, each = [], [], [], []
    for seed, export in enumerate(exports):
        differences, if_solved = _differences(figure, export)
        each.append(fmean(differences))
        known += differences
        at_least += if_solved
        places += [(cluster, seed) for cluster in clusters_of(by_problem(export.rows))]
    clusters, seeds = zip(*places, strict=True)
    found = mean_over_seeds(known, clusters, seeds)
    return each, (found.value, mean_over_seeds(at_least, clusters, seeds).low, found.high)


def _differences(figure: Figure, export: Export) -> tuple[list[float], list[float]]:
    """The difference of each problem: pass@1 of the arm minus what the figure compares it with; and what it would be if
    each run of a loop that ran out of samples had ended correctly.

    Raises:
        ValueError: for a figure that is not known problem by problem.
    """
    known = figure.kind in ("paired", "vote", "sample_and_check", "check_steps")
    if not known or figure.metric.partition("[")[0] not in _FIRST:
        raise ValueError(f"no figure over seeds of the kind '{figure.kind}' and the metric '{figure.metric}'")
    samples = Comparison.model_validate(export.about["comparison"]).suite.samples
    table = by_problem(export.rows)
    ours = [arms[figure.arm][:samples] for arms in table]
    solved, ran_out = [solved_at(rows, 1) for rows in ours], [0.0] * len(ours)
    if figure.kind == "paired":
        theirs = [solved_at(arms[figure.baseline][:samples], 1) for arms in table]
    else:
        others, tokens = [arms[figure.baseline] for arms in table], mean_tokens(ours)
        if figure.kind == "vote":
            _, votes = affordable(tokens, mean_tokens(others), len(others[0]))
            theirs = [interpolated(voted_at, rows, votes) for rows in others]
        else:
            attempts = Attempts(others, check_steps=figure.kind == "check_steps")
            found = attempts.at(attempts.limit_for(tokens))
            theirs, ran_out = list(found.correct), list(found.exhausted)
    known = [own - other for own, other in zip(solved, theirs, strict=True)]
    return known, [value - share for value, share in zip(known, ran_out, strict=True)]


def recomputed(rows: list[Claim], exports: dict[str, Export]) -> list[Claim]:
    """The claims with the figures that follow from the exports, to five decimals; the others as they are."""
    found = []
    for row in rows:
        if row.figure is not None:
            each = row.each
            if row.figure.others:
                each, numbers = over_seeds(row.figure, [exports[name] for name in row.figure.exports])
            else:
                numbers = figure_of(exports[row.figure.samples].report, row.figure)
            value, low, high = (round(number, 5) for number in numbers)
            update = {"value": value, "low": low, "high": high, "each": [round(one, 5) for one in each]}
            row = row.model_copy(update=update)
        found.append(row)
    return found


def differs(row: Claim, new: Claim) -> bool:
    """Whether a recorded figure is another than the recomputed one."""
    pairs = [(row.value, new.value), (row.low, new.low), (row.high, new.high)]
    if len(row.each) != len(new.each):
        return True
    pairs += zip(row.each, new.each, strict=True)
    return any(a is not b and (a is None or b is None or abs(a - b) > TOLERANCE) for a, b in pairs)


def contradicts(row: Claim) -> bool:
    """Whether the numbers of a row contradict each other or its status."""
    if row.value is None:
        return row.status != "not shown"
    if row.low is None or row.high is None:
        agree = len(row.each) > 2 and len({value > 0 for value in row.each}) == 1
        return row.status in ("null", "refuted") or (row.status == "holds" and not agree)
    if not row.low <= row.value <= row.high:
        return True
    excludes = row.low > 0 or row.high < 0
    return {"holds": not excludes, "refuted": not excludes, "null": excludes}.get(row.status, False)


def export(name: str, target: str, sets: list[str] | None, profile: str | None, store_folder: Path | None) -> None:
    """Write a built evaluation to docs/samples, with the texts and questions that its verdicts need."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    spec, graph, stage = read_target(target, sets, profile)
    store, config = open_store(store_folder), graph.nodes[stage].config
    results = built_results(graph, spec, store, stage, config.suite.problems)
    folders = {name: store.output(result) for name, result in results.items()}
    found = Evaluation(graph.name, stage, results[stage], config, folders[stage], folders)
    table = pq.read_table(folders[stage] / "samples.parquet").drop_columns(list(_DROPPED))
    keys = zip(table["source"].to_pylist(), table["problem"].to_pylist(), strict=True)
    problems = [found.problems[key] for key in keys]
    table = table.append_column("question", pa.array([problem.question for problem in problems]))
    table = table.append_column("answer", pa.array([problem.answer for problem in problems]))
    table = table.append_column("info", pa.array([json.dumps(problem.info, sort_keys=True) for problem in problems]))
    pq.write_table(
        table, evidence.SAMPLES / f"{name}.parquet", compression="zstd", compression_level=19, row_group_size=_ROWS
    )
    about: dict[str, Any] = {"target": target, "set": sets or []} | ({"profile": profile} if profile else {})
    about["key"] = results[stage].key
    about["samples.parquet"] = results[stage].outputs["samples.parquet"]["sha256"]
    about["table"] = file_digest(evidence.SAMPLES / f"{name}.parquet")
    about["comparison"] = {
        key: value
        for key, value in config.model_dump(mode="json").items()
        if key in Comparison.model_fields and key not in ("backtracks", "response_steps")
    }
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (evidence.SAMPLES / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="store recomputed figures that differ")
    parser.add_argument(
        "--export", nargs=2, metavar=("NAME", "SPEC:STAGE"), help="write a built evaluation to docs/samples"
    )
    parser.add_argument("--set", action="append", help="as in astro-factory build, for --export")
    parser.add_argument("--profile", help="as in astro-factory build, for --export")
    parser.add_argument("--store", type=Path, help="for --export")
    options = parser.parse_args()
    if options.export:
        return export(*options.export, options.set, options.profile, options.store)
    rows = evidence.claims()
    exports = {name: Export(name) for name in {name for row in rows if row.figure for name in row.figure.exports}}
    found = recomputed(rows, exports)
    for name, samples in sorted(exports.items()):
        print(f"{name}: {len(samples.rows)} samples, {samples.changed_verdicts()} with another verdict than before")
    wrong = [row.id for row, new in zip(rows, found, strict=True) if differs(row, new)]
    for row in found:
        if row.figure:
            print(f"{row.id}: {row.value:+.4f} [{row.low:+.4f}, {row.high:+.4f}]{' differs' * (row.id in wrong)}")
    shipped = sum(row.figure is not None for row in rows)
    print(f"{len(found)} claims, {shipped} recomputed, {len(wrong)} differ from the file")
    bad = [row.id for row in found if contradicts(row)]
    for name in bad:
        print(f"{name}: the numbers contradict each other or the status")
    changed = [name for name, samples in sorted(exports.items()) if not samples.is_whole()]
    for name in changed:
        print(f"{name}: the table has another digest than its description says")
    bad += changed + [name for name, samples in exports.items() if samples.changed_verdicts()]
    evidence.write(found if options.update else rows)
    for path, name in evidence.PICTURES.items():
        path.write_text(picture(exports[name].report), encoding="utf-8")
    if bad or (wrong and not options.update):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
