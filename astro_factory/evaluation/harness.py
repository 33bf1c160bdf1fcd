"""The same problems as a task of lm-evaluation-harness, run by the harness on the same model, and both numbers.

    write_task(folder, evaluation, problems)             # task.yaml, docs.jsonl, judging.py
    answered = run_task(folder, evaluation, "base", 16)  # base.yaml: `lm-eval run --config base.yaml` does it again
    beside(evaluation, "base", answered)

What both share is the problems, the chat template, the sampling and the verifier; the harness's own are the loading of
the model, the loop that generates, the seeds, and a second verdict by its `regex` filter and `exact_match`.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from astro_factory.core.canonical import seed_for
from astro_factory.core.errors import Diagnostic, UserError, shown
from astro_factory.core.models import model_source
from astro_factory.core.problems import Problem
from astro_factory.evaluation.evaluation_results import Asked, Evaluation
from astro_factory.evaluation.intervals import CONFIDENCE, Bootstrap
from astro_factory.evaluation.metrics import Row, metric_name, solved_at
from astro_factory.evaluation.report_tables import Grid, GridTables, cell

Answered = Mapping[Asked, Mapping[str, Any]]
"""For each problem what the harness says of it: `verdict`, `exact_match` and the responses, `resps`."""

_TASK, _DOCS, _JUDGING, _LOG = "task.yaml", "docs.jsonl", "judging.py", "harness.log"
_METRICS = ("verdict", "exact_match")
_CUT = "Left truncation applied"
"""What the harness's log says when it asks less than the whole problem."""
_LINES = 5
"""Of the log that the message of a failure shows."""
_JUDGING_TEXT = '''"""How a response is judged: by the verifier of astro-factory, and by exact match."""

from astro_factory.verifiers.harness import process_results

__all__ = ["process_results"]
'''


def harness_version() -> str:
    """The version of lm-evaluation-harness. Raises `UserError` E804 where it is not installed."""
    if find_spec("lm_eval") is None:
        cause = "the comparison needs the package 'lm-eval', which is not installed"
        raise UserError.of("E804", cause, "pip install 'astro-factory[harness]'")
    return version("lm-eval")


def write_task(folder: Path, evaluation: Evaluation, problems: Mapping[Asked, Problem]) -> Path:
    """Write the suite's problems, or some of them, as a task; returns its YAML file."""
    folder.mkdir(parents=True, exist_ok=True)
    docs = (folder / _DOCS).absolute()
    rows = [{"source": source} | problem.as_row() for (source, _), problem in problems.items()]
    docs.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    (folder / _JUDGING).write_text(_JUDGING_TEXT, encoding="utf-8")
    suite = evaluation.comparison.suite
    task = {
        "task": re.sub(r"\W+", "_", f"{evaluation.spec}_{evaluation.stage}"),
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(docs)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": [], "max_gen_toks": suite.max_tokens, **_sampling(suite.temperature)},
        "repeats": suite.samples,
        "filter_list": [{"name": "all", "filter": [{"function": "take_first_k", "k": suite.samples}]}],
        "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in _METRICS],
        "metadata": {"version": 1, "key": evaluation.result.key},
    }
    text = yaml.safe_dump(task, sort_keys=False, allow_unicode=True)
    # the harness's own tag for a function of a file beside this one
    text += f"process_results: !function {Path(_JUDGING).stem}.process_results\n"
    (folder / _TASK).write_text(text, encoding="utf-8")
    return folder / _TASK


def _sampling(temperature: float) -> dict[str, Any]:
    """As our engines sample: from all tokens, where transformers would take the likeliest 50."""
    if temperature == 0:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}


def run_task(folder: Path, evaluation: Evaluation, arm: str, batch_size: int) -> Answered:
    """Let the harness answer the task of a folder with an arm's model. Raises `UserError` E805 if it fails."""
    out = (folder / arm).absolute()
    out.mkdir(exist_ok=True)
    before = set(out.rglob("samples_*.jsonl"))
    engine = evaluation.comparison.engine
    device = getattr(engine, "device", "auto")
    settings = {
        "model": "hf",
        "model_args": {
            "pretrained": str(model_source(evaluation.inputs[arm])),
            "dtype": getattr(engine, "dtype", "auto"),
        },
        "tasks": [str((folder / _TASK).absolute())],
        "apply_chat_template": True,
        "batch_size": batch_size,
        "output_path": str(out),
        "log_samples": True,
        "seed": [seed_for(evaluation.comparison.seed, "harness") % 2**32] * 4,
    }
    settings |= {} if device == "auto" else {"device": device}
    config = folder / f"{arm}.yaml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "lm_eval", "run", "--config", str(config)]
    # it needs nothing that is not here, and leaves its copy of the problems in the folder
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder.absolute() / "cache")}
    log = out / _LOG
    with log.open("w", encoding="utf-8") as file:
        ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    fresh = sorted(set(out.rglob("samples_*.jsonl")) - before)
    if ended.returncode or not fresh:
        raise _failed(arm, ended.returncode, log)
    return _read(fresh[-1])


def _failed(arm: str, code: int, log: Path) -> UserError:
    cause = f"lm-evaluation-harness failed on '{arm}' (exit code {code})"
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LINES:]
    excerpt = "\n".join(f"    {line}" for line in last)
    return UserError(Diagnostic("E805", cause, f"its whole log is {shown(log)}", excerpt=excerpt))


def _read(path: Path) -> Answered:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {(row["doc"]["source"], row["doc"]["id"]): row for row in rows}


def was_cut(folder: Path, arm: str) -> bool:
    """Whether the harness left out the beginning of a problem, so that both were not asked the same."""
    return _CUT in (folder / arm / _LOG).read_text(encoding="utf-8", errors="replace")


def beside(evaluation: Evaluation, arm: str, answered: Answered) -> dict[str, Any]:
    """pass@1 of an arm by both on the same problems, with the difference and how the responses differ.

    `responses` counts problems, and is None where responses are drawn: then no two need be equal.
    """
    suite, answers = evaluation.comparison.suite, evaluation.answers(arm)
    pairs = [(answers[asked], theirs) for asked, theirs in sorted(answered.items())]
    ours = [solved_at(rows, 1) for rows, _ in pairs]
    harness = [theirs["verdict"] for _, theirs in pairs]
    clusters = [rows[0]["cluster"] for rows, _ in pairs]
    bootstrap = Bootstrap(clusters, seed_for(evaluation.comparison.seed, "bootstrap"))
    columns = {
        "ours": ours,
        "harness": harness,
        "difference": [a - b for a, b in zip(harness, ours, strict=True)],
    }
    # countdown may have no answer of its own: then there is nothing to match
    if all(evaluation.problems[asked].answer for asked in answered):
        columns["exact_match"] = [theirs["exact_match"] for _, theirs in pairs]
    return {
        "metric": metric_name("pass", 1, suite.samples),
        "problems": len(pairs),
        **{name: bootstrap.interval(column)._asdict() for name, column in columns.items()},
        "responses": _responses(pairs) if suite.temperature == 0 else None,
    }


def _responses(pairs: Sequence[tuple[Sequence[Row], Mapping[str, Any]]]) -> dict[str, int]:
    found = {"equal": 0, "only_ours_right": 0, "only_harness_right": 0}
    for (ours,), theirs in pairs:
        right = (solved_at([ours], 1), theirs["verdict"])
        found["equal"] += ours["text"] == theirs["resps"][0][0]
        found["only_ours_right"] += right == (1, 0)
        found["only_harness_right"] += right == (0, 1)
    return found


def sides_table(evaluation: Evaluation, found: Mapping[str, Mapping[str, Any]]) -> GridTables:
    """What `beside` gives for some arms, for a rich console."""
    suite, first = evaluation.comparison.suite, next(iter(found.values()))
    drawn = "greedy" if suite.temperature == 0 else f"temperature {suite.temperature:g}"
    title = f"{suite.title}: {first['problems']} problems, {first['metric']}, {drawn}, {CONFIDENCE:.0%} intervals"
    columns = {"ours": "astro-factory", "harness": "lm-eval", "difference": "difference", "exact_match": "exact match"}
    shown = [name for name in columns if all(name in entry for entry in found.values())]
    header, rows = ["arm", *(columns[name] for name in shown)], []
    for arm, entry in found.items():
        rows.append([arm, *(cell(entry[name], signed=name == "difference") for name in shown)])
    grids = [Grid(title, header, rows)]
    if suite.temperature == 0:
        header = ["arm", "equal", "only astro-factory's right", "only lm-eval's right"]
        rows = [[arm, *map(str, entry["responses"].values())] for arm, entry in found.items()]
        grids.append(Grid("their responses", header, rows))
    cut = [arm for arm, entry in found.items() if entry["cut"]]
    return GridTables(grids, [f"{arm}: the harness cut off the beginning of long problems" for arm in cut])
