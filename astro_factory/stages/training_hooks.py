"""The hooks of `stages.base.StageKind` that the stages share which train."""

from collections.abc import Iterable, Mapping

from astro_factory.core.machines import Machine
from astro_factory.core.model_shapes import ModelShape
from astro_factory.core.requirements import Changes, Requirements
from astro_factory.core.workload import Workload
from astro_factory.stages.requirements import lighter_training, training_needs
from astro_factory.training.settings import GRPOSettings, SFTSettings


def cores(config: SFTSettings | GRPOSettings) -> int:
    """CPU cores of a node that the stage keeps busy; of this machine, if Ray runs the processes."""
    return 1 if config.launch.backend == "ray" else config.launch.processes_per_node * config.threads


def gpus(config: SFTSettings | GRPOSettings) -> int:
    """GPUs of a node that the stage needs: one for each process; Ray hands out its own."""
    return 0 if config.launch.backend == "ray" else config.launch.gpus_per_node


def requirements(
    config: SFTSettings | GRPOSettings, shapes: Mapping[str, ModelShape], workload: Workload, machine: Machine
) -> Requirements | None:
    """Of the processes that train."""
    if config.launch.backend == "ray":  # its GPUs are those of the cluster
        return Requirements()
    shape = shapes.get(config.model)
    return None if shape is None else training_needs(config, shape, workload, machine)


def lighter(config: SFTSettings | GRPOSettings, machine: Machine) -> Iterable[Changes]:
    """Smaller forward passes, sharding, offloading."""
    return lighter_training(config, machine)


def threads(config: SFTSettings | GRPOSettings) -> int:
    """CPU threads of each process."""
    return config.threads
