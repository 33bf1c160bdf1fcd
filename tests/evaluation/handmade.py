"""An evaluation whose samples are written by hand: its folders are real, its models do not exist."""

import random
from pathlib import Path

from astro_factory.core.canonical import digest
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.results import Result
from astro_factory.core.tables import write_table
from astro_factory.evaluation.evaluation_results import Evaluation
from astro_factory.evaluation.report import report_from_samples
from astro_factory.evaluation.samples import sample_schema
from astro_factory.stages.evaluate import Config
from tests.evaluation.test_report import rows_of

SOURCES = ("p", "q")


def make_evaluation(
    root: Path, problems: int = 3, seed: int = 0, samples: int = 4, sources=SOURCES, spare: int = 2, **suite
) -> Evaluation:
    """Arms `a` and `b`, of which `b` has samples to spare; the problems of both sources have equal names."""
    rng, rows, inputs = random.Random(seed), [], {}
    for source in sources:
        inputs[source] = root / source
        inputs[source].mkdir(parents=True)
        asked = [Problem(f"{i}", f"What is {i} + {i}?", f"{2 * i}", "math", {"i": i}) for i in range(problems)]
        write_table(inputs[source] / "problems.parquet", [problem.as_row() for problem in asked], problem_schema())
        for problem in asked:
            for arm, count in (("a", samples), ("b", samples + spare)):
                own = rows_of(arm, problem.id, "".join(rng.choices("ccwvntl", k=count)), source=source)
                rows += [row | {"text": f"It is {row['extracted']}.", "tokens": rng.randint(1, 9)} for row in own]
    config = Config(
        kind="evaluate",
        suite={"problems": list(sources), "samples": samples, "max_tokens": 9, **suite},
        arms=["a", "b"],
        samples_for={"b": samples + spare} if spare else {},
        engine={"kind": "transformers", "dtype": "float32", "device": "cpu"},
        seed=seed,
    )
    folder = root / "report"
    folder.mkdir()
    write_table(folder / "samples.parquet", rows, sample_schema())
    (folder / "report.json").write_text(report_from_samples(rows, config).to_json(), encoding="utf-8")
    record = {"kind": "evaluate", "version": 2}
    provenance = {"started": "2026-11-24T18:00:00+00:00", "seconds": 90.5, "versions": {"astro-factory": "0.1.0"}}
    return Evaluation("small", "report", Result(digest(record), record, {}, provenance), config, folder, inputs)
