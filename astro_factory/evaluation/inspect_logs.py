"""An evaluation as logs of inspect-ai, one an arm: its viewer, data frames and other tools then read our samples.

    write_logs(evaluation, Path("logs"))      # logs/base.eval, logs/astro_rl.eval; then `inspect view --log-dir logs`

A log holds the samples on which the arm is reported. `accuracy` is computed by inspect-ai itself and is our pass@1; the
report's own numbers stand beside it with their intervals.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.canonical import digest
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.verdicts import Outcome
from astro_factory.evaluation.evaluation_results import Asked, Evaluation
from astro_factory.evaluation.metrics import Row

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalScore, EvalSpec, EvalStats

_SCORER = "verdict"
_VALUES = {Outcome.CORRECT: "C", Outcome.NO_ANSWER: "N"}
"""How inspect-ai writes a verdict; all others count as wrong, as in our report, and are `I`."""
_ID_LENGTH = 22
"""Of the names that inspect-ai gives to runs and samples."""


def write_logs(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `<arm>.eval` for every arm. Raises `UserError` E803 where inspect-ai is not installed."""
    try:
        from inspect_ai.log import write_eval_log
    except ImportError as error:
        cause = "logs of inspect-ai need the package 'inspect-ai', which is not installed"
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
    log.results.scores.append(_reported(evaluation, arm))
    return log


def _samples(evaluation: Evaluation, arm: str) -> "Iterator[EvalSample]":
    for asked, rows in evaluation.answers(arm).items():
        for row in rows:
            yield _sample(evaluation, arm, asked, row)


def _sample(evaluation: Evaluation, arm: str, asked: Asked, row: Row) -> "EvalSample":
    from inspect_ai.log import EvalSample, EvalSampleLimit
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ChatMessageUser, ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

    problem, model, cut = evaluation.problems[asked], _model(evaluation, arm), row["finish"] == "length"
    message = ChatMessageAssistant(content=row["text"], model=model, source="generate")
    usage = ModelUsage(output_tokens=row["tokens"], total_tokens=row["tokens"])
    explanation = f"{row['outcome']}: {row['detail']}" if row["detail"] else row["outcome"]
    verdict = {name: row[name] for name in ("outcome", "detail", "verifier")}
    value = _VALUES.get(row["outcome"], "I")
    return EvalSample(
        uuid=digest(["sample", evaluation.result.key, arm, *asked, row["sample"]])[:_ID_LENGTH],
        id=_name(evaluation, asked),
        epoch=row["sample"] + 1,
        input=problem.question,
        target=problem.answer,
        messages=[ChatMessageUser(content=problem.question, source="input"), message],
        output=ModelOutput(
            model=model,
            choices=[ChatCompletionChoice(message=message, stop_reason="max_tokens" if cut else "stop")],
            usage=usage,
        ),
        scores={_SCORER: Score(value=value, answer=row["extracted"], explanation=explanation, metadata=verdict)},
        metadata=_facts(problem, row),
        model_usage={model: usage},
        limit=EvalSampleLimit(type="token", limit=evaluation.comparison.suite.max_tokens) if cut else None,
    )


def _facts(problem: Problem, row: Row) -> dict[str, Any]:
    facts = {name: row[name] for name in ("source", "problem", "level", "cluster", "seed", "finish", "backtracks")}
    return facts | {"info": problem.info}


def _spec(evaluation: Evaluation, arm: str) -> "EvalSpec":
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec
    from inspect_ai.model import GenerateConfig

    suite, result = evaluation.comparison.suite, evaluation.result
    names = [_name(evaluation, asked) for asked in evaluation.problems]
    more = sorted({int(k) for metric in suite.metrics if (k := metric.removeprefix("pass@")).isdigit()} - {1})
    metrics = [{"name": f"inspect_ai/{name}"} for name in ("accuracy", "stderr")]
    return EvalSpec(
        **{f"{what}_id": digest([what, result.key, arm])[:_ID_LENGTH] for what in ("eval", "task")},
        run_id=digest(["run", result.key])[:_ID_LENGTH],
        created=result.provenance["started"],
        task=f"{evaluation.spec}/{evaluation.stage}",
        task_args={"arm": arm, "suite": suite.model_dump(mode="json")},
        dataset=EvalDataset(name=suite.title, samples=len(names), sample_ids=names, shuffled=False),
        model=_model(evaluation, arm),
        model_generate_config=GenerateConfig(temperature=suite.temperature, max_tokens=suite.max_tokens),
        config=EvalConfig(epochs=suite.samples, epochs_reducer=["mean", *(f"pass_at_{k}" for k in more)]),
        packages=result.provenance["versions"],
        scorers=[{"name": _SCORER, "metrics": metrics}],
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

    provenance = evaluation.result.provenance
    ended = datetime.fromisoformat(provenance["started"]) + timedelta(seconds=provenance["seconds"])
    usage = sum((sample.output.usage for sample in samples[1:]), samples[0].output.usage)
    return EvalStats(
        started_at=provenance["started"], completed_at=ended.isoformat(), model_usage={_model(evaluation, arm): usage}
    )


def _reported(evaluation: Evaluation, arm: str) -> "EvalScore":
    """The arm's line of our report, every value with its interval."""
    from inspect_ai.log import EvalMetric, EvalScore

    metrics = {
        name: EvalMetric(name=name, value=entry["value"], metadata={"low": entry["low"], "high": entry["high"]})
        for name, entry in evaluation.report["arms"][arm].items()
    }
    return EvalScore(name="report", scorer="astro-factory", metrics=metrics)


def _model(evaluation: Evaluation, arm: str) -> str:
    return f"{evaluation.spec}/{arm}"


def _name(evaluation: Evaluation, asked: Asked) -> str:
    """The problem's name, with that of its source where there are several."""
    return asked[1] if len(evaluation.comparison.suite.problems) == 1 else "/".join(asked)
