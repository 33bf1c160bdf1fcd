"""Runs in experiment trackers, through the public interface of each. Only `runtime.tracker_process` imports them.

One stage of a build is one run: W&B and Trackio group the runs of a build, MLflow tags them, TensorBoard shows their
folders as names.
"""

import re
import time
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from astro_factory.core.tracking import MLflow, TensorBoard, Tracker, Trackio, WandB

Rollouts = Sequence[Mapping[str, Any]]
"""Responses with `problem`, `text`, `verdict` and `reward`."""
_COLUMNS = ("problem", "verdict", "reward", "text")
_BATCH = 1000
"""Most points that MLflow takes at once."""
_MAX_PARAMETERS, _MAX_TEXT = 100, 500
"""MLflow takes this many parameters at once, and parameters of at least this length in every version."""


@dataclass(frozen=True)
class RunName:
    """What a run is called."""

    project: str
    build: str
    """The build that the run belongs to."""
    stage: str

    @property
    def path(self) -> Path:
        """A relative path; names of variants contain characters that paths cannot."""
        return Path(*(re.sub(r"[^\w.@=,+-]", "_", part)[:120] for part in (self.project, self.build, self.stage)))


class Run(Protocol):
    """A run of a tracker. Any method may raise, or never return."""

    def log(self, step: int, values: Mapping[str, float], at: float) -> None:
        """Add measures of a step; `at` is their time in seconds since the epoch."""
        ...

    def show(self, step: int, rollouts: Rollouts, at: float) -> None:
        """Add some responses of a step."""
        ...

    def flush(self) -> None:
        """Pass on what is held back."""
        ...

    def finish(self, well: bool) -> None:
        """End the run, and say whether its stage ended well."""
        ...


def open_run(track: Tracker, name: RunName, settings: Mapping[str, Any]) -> Run:
    """Start a run with the settings of its stage."""
    if isinstance(track, TensorBoard):
        return _TensorBoardRun(track, name, settings)
    if isinstance(track, MLflow):
        return _MLflowRun(track, name, settings)
    if isinstance(track, Trackio):
        return _trackio_run(track, name, settings)
    assert isinstance(track, WandB)
    return _wandb_run(track, name, settings)


class _TensorBoardRun:
    """Event files, written by TensorBoard's own writer, which needs neither TensorFlow nor torch."""

    def __init__(self, track: TensorBoard, name: RunName, settings: Mapping[str, Any]):
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(Path(track.folder) / name.path))
        self._text("settings", _table(("setting", "value"), settings.items()), 0, time.time())

    def log(self, step: int, values: Mapping[str, float], at: float) -> None:
        summary = import_module("tensorboard.compat.proto.summary_pb2").Summary
        points = [summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(summary(value=points), step, at)

    def show(self, step: int, rollouts: Rollouts, at: float) -> None:
        rows = ([rollout[column] for column in _COLUMNS] for rollout in rollouts)
        self._text("rollouts", _table(_COLUMNS, rows), step, at)

    def _text(self, tag: str, text: str, step: int, at: float) -> None:
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._add(text_pb(tag, text), step, at)

    def _add(self, summary: Any, step: int, at: float) -> None:
        event = import_module("tensorboard.compat.proto.event_pb2").Event  # generated: type checkers cannot see it
        self._writer.add_event(event(wall_time=at, step=step, summary=summary))

    def flush(self) -> None:
        self._writer.flush()

    def finish(self, well: bool) -> None:
        self._writer.close()


class _LogRun:
    """A run with the interface that Trackio and W&B share."""

    def __init__(self, run: Any, table: Any):
        self._run, self._table = run, table

    def log(self, step: int, values: Mapping[str, float], at: float) -> None:
        self._run.log(dict(values), step=step)

    def show(self, step: int, rollouts: Rollouts, at: float) -> None:
        self._run.log({"rollouts": self._make_table(rollouts)}, step=step)

    def _make_table(self, rollouts: Rollouts) -> Any:
        return self._table(columns=[*_COLUMNS], data=[[rollout[column] for column in _COLUMNS] for rollout in rollouts])

    def flush(self) -> None:
        pass  # both send in a thread or process of their own

    def finish(self, well: bool) -> None:
        self._run.finish()


class _WandBRun(_LogRun):
    def finish(self, well: bool) -> None:
        self._run.finish(exit_code=0 if well else 1)


def _wandb_run(track: WandB, name: RunName, settings: Mapping[str, Any]) -> Run:
    import wandb

    Path(track.folder).mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        entity=track.entity,
        project=name.project,
        group=name.build,
        name=name.stage,
        dir=track.folder,
        mode=track.mode,
        config=dict(settings),
        reinit="create_new",  # stages run side by side
        settings=wandb.Settings(console="off", silent=True),
    )
    return _WandBRun(run, wandb.Table)


def _trackio_run(track: Trackio, name: RunName, settings: Mapping[str, Any]) -> Run:
    import trackio

    def start() -> Any:
        return trackio.init(
            project=name.project,
            name=f"{name.stage} {name.build}",  # the name identifies a run
            group=name.build,
            space_id=track.space,
            config=dict(settings),
            embed=False,
        )

    # starting a run ends the one of the same context, but stages run side by side
    return _LogRun(Context().run(start), trackio.Table)


class _MLflowRun:
    """A run by MLflow's client, which has no current run, so that stages can run side by side."""

    def __init__(self, track: MLflow, name: RunName, settings: Mapping[str, Any]):
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client = client = MlflowClient(track.uri)
        experiment = client.get_experiment_by_name(name.project)
        number = experiment.experiment_id if experiment else client.create_experiment(name.project)
        self._id = client.create_run(number, run_name=name.stage, tags={"build": name.build}).info.run_id
        self._points: list[Any] = []
        parameters = [Param(key, str(value)[:_MAX_TEXT]) for key, value in settings.items()]
        for start in range(0, len(parameters), _MAX_PARAMETERS):
            client.log_batch(self._id, params=parameters[start : start + _MAX_PARAMETERS])

    def log(self, step: int, values: Mapping[str, float], at: float) -> None:
        from mlflow.entities import Metric

        # MLflow refuses some characters of metric names, such as those of `pass@1[avg-of-8]`
        names = {re.sub(r"[^\w./ -]", "_", name): value for name, value in values.items()}
        self._points += [Metric(name, value, int(at * 1000), step) for name, value in names.items()]

    def show(self, step: int, rollouts: Rollouts, at: float) -> None:
        rows = ([rollout[column] for column in _COLUMNS] for rollout in rollouts)
        self._client.log_text(self._id, _table(_COLUMNS, rows), f"rollouts/{step:06}.md")

    def flush(self) -> None:
        while self._points:
            self._client.log_batch(self._id, metrics=self._points[:_BATCH])
            del self._points[:_BATCH]

    def finish(self, well: bool) -> None:
        self.flush()
        self._client.set_terminated(self._id, "FINISHED" if well else "FAILED")


def _table(columns: Sequence[str], rows: Any) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", str(value)).replace("\n", "<br>")
