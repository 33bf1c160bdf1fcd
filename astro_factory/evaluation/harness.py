"""Run an evaluation's problems through lm-evaluation-harness on the same model, and compare the scores.

    write_task(folder, evaluation, problems)                # task.yaml, docs.jsonl, judging.py
    samples = run_task(folder, evaluation, "base", options) # base.yaml: `lm-eval run --config base.yaml` repeats it
    compare_with_harness(evaluation, "base", samples)

Both sides share the problems, the chat template, the sampling settings and the verifier. The harness uses its own model
loader, generation loop and seeds, and judges a second time with its `regex` filter and `exact_match`.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypedDict

import yaml

from astro_factory.core.adapters import base_source, read_adapter
from astro_factory.core.canonical import seed_for
from astro_factory.core.chat_templates import PROMPT_DATE, Message
from astro_factory.core.errors import Diagnostic, UserError, shown
from astro_factory.core.models import check_weights, model_source
from astro_factory.core.problems import Problem
from astro_factory.evaluation.evaluation_results import Evaluation, ProblemKey
from astro_factory.evaluation.intervals import CONFIDENCE, Bootstrap, Interval
from astro_factory.evaluation.metrics import Row, metric_name, solved_at
from astro_factory.evaluation.report_schema import Layout, ValueInterval
from astro_factory.evaluation.report_tables import Grid, GridTables, interval_cell, value_cell


class HarnessSample(TypedDict):
    """What we read of the harness's sample log: one problem, all its responses."""

    doc: dict[str, str]
    """The problem, a line of `docs.jsonl`."""
    verdict: float
    """Share of the responses that our verifier judges correct."""
    exact_match: float
    """Share of the responses that match the answer by the harness's own rule."""
    resps: list[list[str]]
    """The responses, in a list of one element."""


class HarnessOptions(NamedTuple):
    """How the harness loads and runs the model."""

    batch_size: int = 16
    """Responses that are generated together."""
    device: str = "auto"
    """`cpu`, `cuda`, `mps`; `auto` leaves it to the harness."""
    dtype: str = "auto"
    """Type of the weights."""


class ResponseCounts(Layout):
    """How the greedy responses of both sides differ, in problems."""

    equal: int
    """The same text."""
    only_ours_right: int
    """Only astro-factory's response is correct."""
    only_harness_right: int
    """Only the harness's response is correct."""


class ArmComparison(Layout):
    """One arm in `astro-factory harness --json`."""

    metric: str
    """pass@1 with its definition."""
    problems: int
    """How many problems were run."""
    ours: ValueInterval
    """The metric by astro-factory."""
    harness: ValueInterval
    """The metric by the harness's responses and our verifier."""
    difference: ValueInterval
    """`harness` minus `ours`, on the same problems."""
    exact_match: ValueInterval | None = None
    """The metric by the harness's own rule; absent if some problem has no known answer."""
    responses: ResponseCounts | None
    """Greedy sampling only; null where responses are drawn, since then no two need to be equal."""
    cut: bool
    """Whether the harness truncated the beginning of a prompt."""


_TASK, _DOCS, _JUDGING, _LOG = "task.yaml", "docs.jsonl", "judging.py", "harness.log"
_METRICS = ("verdict", "exact_match")
_TRUNCATED = "Left truncation applied"
"""The harness logs this when it truncates a prompt."""
_LOG_LINES = 5
"""Lines of the log that an error shows."""
_JUDGING_TEXT = '''"""How a response is judged: by the verifier of astro-factory, and by exact match."""

from astro_factory.verifiers.harness import process_results

__all__ = ["process_results"]
'''


def harness_version() -> str:
    """The version of lm-evaluation-harness. Raises `UserError` E804 if it is not installed."""
    if find_spec("lm_eval") is None:
        cause = "the comparison needs the package 'lm-eval', which is not installed"
        raise UserError.of("E804", cause, "pip install 'astro-factory[harness]'")
    return version("lm-eval")


def write_task(folder: Path, evaluation: Evaluation, problems: Mapping[ProblemKey, Problem]) -> Path:
    """Write the suite's problems, or some of them, as a task; returns the path of its YAML file.

    Raises `UserError` E809 for worked examples that the harness cannot show.
    """
    shots = _shots(evaluation.examples)
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
    if shots:
        task["fewshot_config"] = {"sampler": "first_n", "samples": shots}
    text = yaml.safe_dump(task, sort_keys=False, allow_unicode=True)
    # the harness's tag for a function in a file of the same folder
    text += f"process_results: !function {Path(_JUDGING).stem}.process_results\n"
    (folder / _TASK).write_text(text, encoding="utf-8")
    return folder / _TASK


def _shots(examples: Sequence[Message]) -> list[dict[str, str]]:
    """Worked examples in the form of `docs.jsonl`. Raises `UserError` E809 if they are not questions with answers."""
    questions, answers = examples[::2], examples[1::2]
    roles = [(question["role"], answer["role"]) for question, answer in zip(questions, answers, strict=False)]
    if len(examples) % 2 or any(pair != ("user", "assistant") for pair in roles):
        cause = "the examples are not questions with their answers alone, which is all that the harness can show"
        raise UserError.of("E809", cause, "name dialogues without a system message in 'examples', or leave it out")
    pairs = zip(questions, answers, strict=True)
    return [{"question": question["content"], "answer": answer["content"]} for question, answer in pairs]


def _sampling(temperature: float) -> dict[str, float | bool]:
    """Our engines sample from all tokens; transformers' default is the top 50."""
    if temperature == 0:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}


def run_task(
    folder: Path, evaluation: Evaluation, arm: str, options: HarnessOptions
) -> dict[ProblemKey, HarnessSample]:
    """Run the task of a folder on an arm's model with the harness. Raises `UserError` E805 if it fails."""
    out = (folder / arm).absolute()
    out.mkdir(exist_ok=True)
    before = set(out.rglob("samples_*.jsonl"))
    source = model_source(evaluation.inputs[arm])
    check_weights(source)
    model = {"pretrained": str(source)}
    if read_adapter(source):
        model = {"pretrained": str(base_source(source)), "peft": str(source), "tokenizer": str(source)}
    settings = {
        "model": "hf",
        "model_args": {
            **model,
            "dtype": options.dtype,
            "chat_template_args": {"date_string": PROMPT_DATE},
        },
        "tasks": [str((folder / _TASK).absolute())],
        "apply_chat_template": True,
        "batch_size": options.batch_size,
        "output_path": str(out),
        "log_samples": True,
        "seed": [seed_for(evaluation.comparison.seed, "harness") % 2**32] * 4,
    }
    settings |= {} if options.device == "auto" else {"device": options.device}
    if evaluation.examples:
        settings |= {"num_fewshot": len(evaluation.examples) // 2, "fewshot_as_multiturn": True}
    config = folder / f"{arm}.yaml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "lm_eval", "run", "--config", str(config)]
    # everything it needs is local, and its copy of the problems stays in this folder
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
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LOG_LINES:]
    excerpt = "\n".join(f"    {line}" for line in last)
    return UserError(Diagnostic("E805", cause, f"its full log is {shown(log)}", excerpt=excerpt))


def _read(path: Path) -> dict[ProblemKey, HarnessSample]:
    with path.open(encoding="utf-8") as lines:
        rows: list[HarnessSample] = [json.loads(line) for line in lines]
    return {(row["doc"]["source"], row["doc"]["id"]): row for row in rows}


def prompts_were_truncated(folder: Path, arm: str) -> bool:
    """Whether the harness truncated the beginning of a prompt, so that the two sides saw different prompts."""
    return _TRUNCATED in (folder / arm / _LOG).read_text(encoding="utf-8", errors="replace")


def compare_with_harness(
    evaluation: Evaluation, arm: str, harness_samples: Mapping[ProblemKey, HarnessSample], truncated: bool = False
) -> ArmComparison:
    """pass@1 of an arm by both on the same problems, with the difference and how the responses differ."""
    suite, samples = evaluation.comparison.suite, evaluation.samples_of(arm)
    pairs = [(samples[key], theirs) for key, theirs in sorted(harness_samples.items())]
    ours = [solved_at(rows, 1) for rows, _ in pairs]
    harness = [theirs["verdict"] for _, theirs in pairs]
    clusters = [rows[0]["cluster"] for rows, _ in pairs]
    bootstrap = Bootstrap(clusters, seed_for(evaluation.comparison.seed, "bootstrap"))
    found = ArmComparison(
        metric=metric_name("pass", 1, suite.samples),
        problems=len(pairs),
        ours=_value(bootstrap.interval(ours)),
        harness=_value(bootstrap.interval(harness)),
        difference=_value(bootstrap.interval([a - b for a, b in zip(harness, ours, strict=True)])),
        responses=_responses(pairs) if suite.temperature == 0 else None,
        cut=truncated,
    )
    # countdown problems may have no known answer to match
    if not all(evaluation.problems[key].answer for key in harness_samples):
        return found
    exact_match = bootstrap.interval([theirs["exact_match"] for _, theirs in pairs])
    return found.model_copy(update={"exact_match": _value(exact_match)})


def _value(interval: Interval) -> ValueInterval:
    return ValueInterval(value=interval.value, low=interval.low, high=interval.high)


def _responses(pairs: Iterable[tuple[Sequence[Row], HarnessSample]]) -> ResponseCounts:
    equal = only_ours = only_harness = 0
    for (ours,), theirs in pairs:
        correct = (solved_at([ours], 1), theirs["verdict"])
        equal += ours["text"] == theirs["resps"][0][0]
        only_ours += correct == (1, 0)
        only_harness += correct == (0, 1)
    return ResponseCounts(equal=equal, only_ours_right=only_ours, only_harness_right=only_harness)


def comparison_tables(evaluation: Evaluation, arms: Mapping[str, ArmComparison]) -> GridTables:
    """The comparison of some arms, for a rich console."""
    suite, first = evaluation.comparison.suite, next(iter(arms.values()))
    sampling = "greedy" if suite.temperature == 0 else f"temperature {suite.temperature:g}"
    title = f"{suite.title}: {first.problems} problems, {first.metric}, {sampling}, {CONFIDENCE:.0%} intervals"
    matched = all(found.exact_match for found in arms.values())
    header = ["arm", "astro-factory", "lm-eval", "difference", *(["exact match"] if matched else [])]
    rows = []
    for arm, found in arms.items():
        difference = interval_cell(found.difference.value, found.difference.low, found.difference.high, signed=True)
        rows.append([arm, value_cell(found.ours), value_cell(found.harness), difference])
        if matched and found.exact_match:
            rows[-1].append(value_cell(found.exact_match))
    grids = [Grid(title, header, rows)]
    if suite.temperature == 0:
        header = ["arm", "equal", "only astro-factory correct", "only lm-eval correct"]
        rows = [
            [arm, str(counts.equal), str(counts.only_ours_right), str(counts.only_harness_right)]
            for arm, found in arms.items()
            if (counts := found.responses)
        ]
        grids.append(Grid("responses", header, rows))
    truncated = [arm for arm, found in arms.items() if found.cut]
    return GridTables(grids, [f"{arm}: the harness truncated the beginning of long prompts" for arm in truncated])
