"""Checks before anything runs that there are GPUs, that they can be used, and that they are enough."""

from pydantic import ValidationError

from astro_factory.core.config import StageConfig
from astro_factory.core.devices import Inventory
from astro_factory.core.errors import Diagnostic
from astro_factory.core.graph import GraphNode
from astro_factory.core.machines import Machine
from astro_factory.core.plans import Hit, Import, Plan
from astro_factory.runtime.resources import declared
from astro_factory.training.settings import TrainingConfig


def wants_gpus(plan: Plan) -> bool:
    """Whether stages that must run or may have to would use GPUs."""
    return any(declared(item.node).gpus for item in plan.nodes.values() if not isinstance(item, Hit | Import))


def require_usable_gpus(plan: Plan, found: Inventory) -> None:
    """Raises `UserError` E180 if stages that must run or may have to need GPUs, and the machine's are unusable."""
    if wants_gpus(plan):
        found.require_usable()


def gpu_fault(node: GraphNode, needed: int, machine: Machine) -> Diagnostic | None:
    """E181 if a stage needs more GPUs than there are, or several together that are instances of split GPUs."""
    if not needed:
        return None
    field, processes = _processes(node.config)
    together = needed if field.startswith("launch") else needed // processes
    if machine.separate and together > 1:
        cause = f"'{node.name}' needs {together} GPUs that work together; instances of a split GPU (MIG) cannot"
        lower = f"{node.section}.{node.name}.{field}" if together == needed else "the engine's tensor_parallel_size"
        return Diagnostic("E181", cause, f"set {lower} to 1, or turn MIG off", node.place)
    if has_gpus(node.config, needed, machine):
        return None
    has = f"{machine} has {machine.all_gpus}"
    cause = f"'{node.name}' needs {needed} GPUs ({field}: {processes}), and {has}"
    nodes = _nodes(node.config)
    if nodes > 1 or needed <= machine.all_gpus:
        each = f"on each of {nodes} nodes" if nodes > 1 else "on one node"
        cause = f"'{node.name}' needs {needed} GPUs {each} ({field}: {processes}, launch.nodes: {nodes}), and {has}"
    return Diagnostic("E181", cause, "", node.locate(tuple(field.split("."))) or node.place)


def has_gpus(config: StageConfig, needed: int, machine: Machine) -> bool:
    """Whether a machine has the GPUs that a stage needs: for training, on each of its nodes."""
    if not isinstance(config, TrainingConfig):
        return needed <= machine.all_gpus
    return needed <= machine.gpus and (config.launch.nodes <= machine.nodes or not machine.is_described)


def fitting_processes(node: GraphNode, machine: Machine) -> dict[str, int]:
    """The smallest change with which the machine has enough GPUs: more nodes, or else fewer processes."""
    needed = int(declared(node).gpus)
    field, processes = _processes(node.config)
    nodes = max(machine.nodes, _nodes(node.config)) if not machine.is_described else machine.nodes
    if isinstance(node.config, TrainingConfig) and processes <= nodes * machine.gpus:
        return next(
            (
                {"launch.nodes": number}
                for number in range(1, nodes + 1)
                if processes <= number * machine.gpus and processes % number == 0
            ),
            {},
        )
    most = max(1, min(processes, machine.all_gpus * processes // (needed * _nodes(node.config))))
    return next(({field: fewer} for fewer in range(most, 0, -1) if _is_valid(node, field, fewer)), {})


def _nodes(config: StageConfig) -> int:
    return config.launch.nodes if isinstance(config, TrainingConfig) else 1


def _processes(config: StageConfig) -> tuple[str, int]:
    """The field with the number of processes, and its value."""
    if isinstance(config, TrainingConfig):
        return "launch.processes", config.launch.processes
    return "processes", getattr(config, "processes", 1)


def _is_valid(node: GraphNode, field: str, value: int) -> bool:
    """Whether a config accepts another number of processes; it may have to divide a batch."""
    settings = node.config.model_dump(exclude_unset=True)
    *path, last = field.split(".")
    inner = settings
    for part in path:
        inner = inner.setdefault(part, {})
    inner[last] = value
    try:
        type(node.config).model_validate(settings)
    except ValidationError:
        return False
    return True
