"""The hooks of `stages.base.StageKind` that stages share which sample from a model with engines, and what they log."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from astro_factory.core.context import Events
from astro_factory.core.devices import cpu_multiplies_bf16, torch_device
from astro_factory.core.machines import Machine
from astro_factory.core.model_shapes import ModelShape, weight_type
from astro_factory.core.models import model_source
from astro_factory.core.requirements import Changes, Requirements
from astro_factory.core.workload import Workload
from astro_factory.engines.config import EngineConfig, TransformersConfig
from astro_factory.stages.requirements import engine_needs, lighter_engine

Backend = Literal["local", "ray"]


class SamplingConfig(Protocol):
    """The config of a stage that samples."""

    @property
    def engine(self) -> EngineConfig: ...

    @property
    def processes(self) -> int: ...

    @property
    def backend(self) -> Backend: ...


class OneModelSamplingConfig(SamplingConfig, Protocol):
    """The config of a stage that samples from one model at one temperature."""

    @property
    def model(self) -> str: ...

    @property
    def temperature(self) -> float: ...

    @property
    def max_tokens(self) -> int: ...


def cores(config: SamplingConfig) -> int:
    """CPU cores of this machine that the stage keeps busy."""
    return 1 if config.backend == "ray" else config.processes * config.engine.cores()


def gpus(config: SamplingConfig) -> int:
    """GPUs of this machine that the stage needs."""
    return 0 if config.backend == "ray" else config.processes * config.engine.gpus()


def requirements(
    config: OneModelSamplingConfig, shapes: Mapping[str, ModelShape], workload: Workload, machine: Machine
) -> Requirements | None:
    """Of the engines."""
    if config.backend == "ray":  # its GPUs are those of the cluster
        return Requirements()
    shape = shapes.get(config.model)
    if shape is None:
        return None
    return engine_needs(config.engine, config.processes, config.max_tokens, shape, workload, machine)


def lighter(config: SamplingConfig, machine: Machine) -> Iterable[Changes]:
    """More GPUs for an engine, or a shorter context."""
    return lighter_engine(config.engine, config.processes, machine)


def log_slow_type(events: Events, engine: EngineConfig, model: Path) -> None:
    """Log that this machine's CPU samples slowly in the type of the weights, for which it has no instructions."""
    if not isinstance(engine, TransformersConfig):
        return
    found = _checkpoint_type(model) if engine.dtype == "auto" else engine.dtype
    if found in ("bfloat16", "float16") and torch_device(engine.device) == "cpu" and not cpu_multiplies_bf16():
        events.log(f"this CPU cannot multiply in {found}: `dtype: float32` in the engine samples several times faster")


def _checkpoint_type(model: Path) -> str | None:
    file = model_source(model) / "config.json"  # an adapter has one too; the engine reports a model without
    return weight_type(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
