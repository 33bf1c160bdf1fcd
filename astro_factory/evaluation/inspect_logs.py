"""Export an evaluation as inspect-ai logs, one for each arm, for its viewer, data frames and other tools.

    write_logs(evaluation, Path("logs"))      # logs/base.eval, logs/astro_rl.eval; then `inspect view --log-dir logs`

A log holds the samples on which the arm is reported. inspect-ai itself computes `accuracy`, which equals our pass@1;
the score `report` holds the report's numbers with their intervals.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from astro_factory.core.canonical import digest
from astro_factory.core.chat_templates import Message
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.evaluation_results import Evaluation, ProblemKey
from astro_factory.evaluation.metrics import Row
from astro_factory.evaluation.suite import parse_metric

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalScore, EvalSpec, EvalStats
    from inspect_ai.model import ChatMessage

_SCORER = "verdict"
_VALUES = {Outcome.CORRECT: "C", Outcome.NO_ANSWER: "N"}
"""inspect-ai's letters for verdicts; all others count as incorrect, as in our report, and are `I`."""
_ID_LENGTH = 22
"""Length of inspect-ai's ids of runs and samples."""


def write_logs(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `<arm>.eval` for every arm; returns the paths. Raises `UserError` E803 if inspect-ai is not installed."""
    try:
        from inspect_ai.log import write_eval_log
    except ImportError as error:
        cause = "inspect-ai logs need the package 'inspect-ai', which is not installed"
        raise UserError.of("E803", cause, "pip install 'astro-factory[inspect]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for arm in evaluation.comparison.arms:
        written.append(folder / f"{arm}.eval")
        write_eval_log(_log(evaluation, arm), written[-1])
    return written


def _log(evaluation: Evaluation, arm: str) -> "EvalLog":
    from inspect_ai.log import EvalLog, recompute_metrics

    samples = list(_samples(evaluation, arm))
    log = EvalLog(
        status="success", eval=_spec(evaluation, arm), samples=samples, stats=_stats(evaluation, arm, samples)
    )
    recompute_metrics(log)
    assert log.results is not None
    log.results.scores.append(_report_score(evaluation, arm))
    return log


def _samples(evaluation: Evaluation, arm: str) -> "Iterator[EvalSample]":
    for key, rows in evaluation.samples_of(arm).items():
        for row in rows:
            yield _sample(evaluation, arm, key, row)


def _sample(evaluation: Evaluation, arm: str, key: ProblemKey, row: Row) -> "EvalSample":
    from inspect_ai.log import EvalSample, EvalSampleLimit
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

    problem, model, truncated = evaluation.problems[key], _model(evaluation, arm), row["finish"] == "length"
    message = ChatMessageAssistant(content=row["text"], model=model, source="generate")
    usage = ModelUsage(output_tokens=row["tokens"], total_tokens=row["tokens"])
    explanation = f"{row['outcome']}: {row['detail']}" if row["detail"] else row["outcome"]
    verdict = {name: row[name] for name in ("outcome", "detail", "verifier")}
    value = _VALUES.get(row["outcome"], "I")
    return EvalSample(
        uuid=digest(["sample", evaluation.result.key, arm, *key, row["sample"]])[:_ID_LENGTH],
        id=_name(evaluation, key),
        epoch=row["sample"] + 1,
        input=_input(evaluation, problem) if evaluation.examples else problem.question,
        target=problem.answer,
        messages=[*_input(evaluation, problem), message],
        output=ModelOutput(
            model=model,
            choices=[ChatCompletionChoice(message=message, stop_reason="max_tokens" if truncated else "stop")],
            usage=usage,
        ),
        scores={_SCORER: Score(value=value, answer=row["extracted"], explanation=explanation, metadata=verdict)},
        metadata=_sample_metadata(problem, row),
        model_usage={model: usage},
        limit=EvalSampleLimit(type="token", limit=evaluation.comparison.suite.max_tokens) if truncated else None,
    )


def _input(evaluation: Evaluation, problem: Problem) -> "list[ChatMessage]":
    """What the model was asked: worked examples, if there are any, and the question."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    asked = [*evaluation.examples, Message(role="user", content=problem.question)]
    return [kinds[one["role"]](content=one["content"], source="input") for one in asked]


def _sample_metadata(problem: Problem, row: Row) -> dict[str, object]:
    metadata: dict[str, object] = {"info": problem.info}
    metadata |= {name: row[name] for name in ("source", "problem", "level", "cluster", "seed", "finish", "backtracks")}
    return metadata


def _spec(evaluation: Evaluation, arm: str) -> "EvalSpec":
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec
    from inspect_ai.model import GenerateConfig

    suite, result = evaluation.comparison.suite, evaluation.result
    names: list[str | int] = [_name(evaluation, key) for key in evaluation.problems]
    pass_at = sorted({k for kind, k in map(parse_metric, suite.metrics) if kind == "pass"} - {1})
    scorer = {"name": _SCORER, "metrics": [{"name": f"inspect_ai/{name}"} for name in ("accuracy", "stderr")]}
    return EvalSpec(
        eval_id=digest(["eval", result.key, arm])[:_ID_LENGTH],
        task_id=digest(["task", result.key, arm])[:_ID_LENGTH],
        run_id=digest(["run", result.key])[:_ID_LENGTH],
        created=result.provenance["started"],
        task=f"{evaluation.spec}/{evaluation.stage}",
        task_args={"arm": arm, "suite": suite.model_dump(mode="json")},
        dataset=EvalDataset(name=suite.title, samples=len(names), sample_ids=names, shuffled=False),
        model=_model(evaluation, arm),
        model_generate_config=GenerateConfig(temperature=suite.temperature, max_tokens=suite.max_tokens),
        config=EvalConfig(epochs=suite.samples, epochs_reducer=["mean", *(f"pass_at_{k}" for k in pass_at)]),
        packages=result.provenance["versions"],
        scorers=[scorer],  # pyright: ignore[reportArgumentType]  # its models are not public
        metadata={
            "spec": evaluation.spec,
            "stage": evaluation.stage,
            "arm": arm,
            "key": result.key,
            "record": result.record,
        },
    )


def _stats(evaluation: Evaluation, arm: str, samples: "list[EvalSample]") -> "EvalStats":
    from inspect_ai.log import EvalStats
    from inspect_ai.model import ModelUsage

    provenance = evaluation.result.provenance
    ended = datetime.fromisoformat(provenance["started"]) + timedelta(seconds=provenance["seconds"])
    usage = sum((sample.output.usage for sample in samples if sample.output.usage), ModelUsage())
    return EvalStats(
        started_at=provenance["started"], completed_at=ended.isoformat(), model_usage={_model(evaluation, arm): usage}
    )


def _report_score(evaluation: Evaluation, arm: str) -> "EvalScore":
    """The arm's row of our report, intervals as metadata."""
    from inspect_ai.log import EvalMetric, EvalScore

    metrics = {
        name: EvalMetric(name=name, value=entry.value, metadata={"low": entry.low, "high": entry.high})
        for name, entry in evaluation.report.arms[arm].items()
    }
    return EvalScore(name="report", scorer="astro-factory", metrics=metrics)


def _model(evaluation: Evaluation, arm: str) -> str:
    return f"{evaluation.spec}/{arm}"


def _name(evaluation: Evaluation, key: ProblemKey) -> str:
    """The problem's id, preceded by its source if the suite has several."""
    return key[1] if len(evaluation.comparison.suite.problems) == 1 else "/".join(key)
