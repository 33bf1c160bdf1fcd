"""Evaluation results as the Hub shows them: `model-index` in a card's metadata, and the files in `.eval_results/`.

Values are percentages, as on most cards. `.eval_results/*.yaml` is for data sets that the Hub lists as benchmarks; the
spec names the task of each (https://huggingface.co/docs/hub/eval-results).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from astro_factory.hub.provenance import Provenance

EVAL_RESULTS = ".eval_results/"


class Score(NamedTuple):
    """A metric of an arm, with its interval; shares from 0 to 1."""

    value: float
    low: float
    high: float

    @property
    def percent(self) -> float:
        return round(100 * self.value, 2)

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


class EvaluatedSet(NamedTuple):
    """The results on one problem source."""

    problems: int
    arms: Mapping[str, Mapping[str, Score]]
    """Arm to metric to score. A metric's name has its definition, such as `pass@1[avg-of-8]`."""


@dataclass(frozen=True)
class Evaluation:
    """What a card says about a report."""

    sets: Mapping[str, EvaluatedSet]
    """By problem source."""
    samples: int
    temperature: float
    max_tokens: int
    confidence: float

    @property
    def settings(self) -> str:
        longest = f"at most {self.max_tokens} tokens"
        return f"{self.samples} samples per problem, temperature {self.temperature:g}, {longest}"


def model_index(title: str, arm: str, evaluation: Evaluation, provenance: Provenance) -> list[dict[str, Any]]:
    """The card's `model-index`: every metric of the published arm on every problem source."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found = []
    for source, results in evaluation.sets.items():
        place = _dataset(source, provenance)
        for metric, score in results.arms[arm].items():
            result = EvalResult(
                task_type="text-generation",
                task_name="Text generation",
                dataset_type=place.get("repo", source),
                dataset_name=source,
                dataset_config=place.get("config") or None,
                dataset_split=place.get("split"),
                dataset_revision=place.get("revision"),
                metric_type=metric.partition("[")[0],
                metric_name=f"{metric}, %",
                metric_value=score.percent,
            )
            found.append(result)
    return eval_results_to_model_index(title, found)


def eval_results_files(
    arm: str, evaluation: Evaluation, tasks: Mapping[str, str], provenance: Provenance
) -> dict[str, bytes]:
    """The files of `.eval_results/`: the first metric of the arm on each problem source that has a task.

    Args:
        tasks: Problem source, a Hub data set, to the id of the task in its `eval.yaml`.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    files = {}
    for source, task in sorted(tasks.items()):
        place = _dataset(source, provenance)
        results = evaluation.sets.get(source)
        if results is None or "repo" not in place:
            continue
        metric, score = next(iter(results.arms[arm].items()))
        entry = EvalResultEntry(
            dataset_id=place["repo"],
            task_id=task,
            value=score.percent,
            dataset_revision=place.get("revision"),
            notes=f"{metric} on {results.problems} problems, {evaluation.settings}",
        )
        text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, width=1000)
        files[f"{EVAL_RESULTS}{source}.yaml"] = text.encode()
    return files


def _dataset(source: str, provenance: Provenance) -> Mapping[str, Any]:
    """The config of a problem source from the Hub; empty for another."""
    stage = provenance.named(source)
    return stage.config if stage and stage.section == "problems" and stage.kind == "hub" else {}
