"""A heavy stage that performs actions."""

from typing import Literal

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.context import StageContext
from tests.runtime.kinds.actions import Actions, act

OUTPUT = ArtifactType.DIALOGUES
VERSION = 1
HEAVY = True


class Config(Actions):
    kind: Literal["heavy"]


def cores(config: Config) -> int:
    return config.takes


def gpus(config: Config) -> int:
    return config.gpus


def memory_gb(config: Config) -> float:
    return config.memory


def run(ctx: StageContext, config: Config) -> None:
    act(ctx, config)
