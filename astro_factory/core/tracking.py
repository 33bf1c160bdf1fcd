"""The top-level key `track` of a spec: the experiment tracker that gets the curves of a build.

It is part of no key: `runtime.tracking` reads what a build reports and cannot change what it makes.
"""

from importlib.util import find_spec
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from astro_factory.core.config import Config


class Tracker(Config):
    """Fields of every tracker."""

    package: ClassVar[str]
    """The Python package that it needs."""
    project: str | None = None
    """The project that the runs belong to, which MLflow calls an experiment; by default the name of the spec."""
    timeout_s: float = Field(default=60.0, gt=0)
    """Longest time that the tracker may take for one call and, after the build, for what is left."""

    @property
    def is_installed(self) -> bool:
        """Whether its package can be imported. A folder `wandb/` that W&B wrote is not the package."""
        found = find_spec(self.package)
        return found is not None and found.origin is not None


class TensorBoard(Tracker):
    """Event files for TensorBoard."""

    package: ClassVar[str] = "tensorboard"
    kind: Literal["tensorboard"]
    folder: str = "runs"
    """Where to write, relative to the spec's folder: a folder for each project, build and stage."""


class Trackio(Tracker):
    """Trackio, with the interface of W&B: a database on this machine, or a Space on the Hub."""

    package: ClassVar[str] = "trackio"
    kind: Literal["trackio"]
    space: str | None = None
    """The Space that keeps and shows the runs, such as `me/runs`; by default they stay on this machine."""


class WandB(Tracker):
    """Weights & Biases."""

    package: ClassVar[str] = "wandb"
    kind: Literal["wandb"]
    entity: str | None = None
    """The user or team that owns the project; by default that of the account."""
    mode: Literal["online", "offline"] = "online"
    """`offline` keeps the runs in `folder`, for `wandb sync`."""
    folder: str = "runs"
    """Where W&B keeps its files, relative to the spec's folder."""


class MLflow(Tracker):
    """MLflow."""

    package: ClassVar[str] = "mlflow"
    kind: Literal["mlflow"]
    uri: str | None = None
    """The tracking server or store; by default `MLFLOW_TRACKING_URI`, else what MLflow chooses."""


TrackConfig = Annotated[TensorBoard | Trackio | WandB | MLflow, Field(discriminator="kind")]
