"""Checks before anything runs that the machine has the GPUs that the stages of a plan need."""

from pydantic import ValidationError

from astro_factory.core.config import StageConfig
from astro_factory.core.devices import Inventory
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.graph import GraphNode
from astro_factory.core.plans import Hit, Import, Plan
from astro_factory.runtime.resources import declared


def require_gpus(plan: Plan, found: Inventory) -> None:
    """Raises one `UserError`: E180 if the GPUs cannot be used, E181 for each stage that needs more than there are.

    Only stages count that must run or may have to. Without any GPU nothing is raised: models run on the CPU.
    """
    nodes = [item.node for item in plan.nodes.values() if not isinstance(item, Hit | Import)]
    needed = [(node, int(amount)) for node in nodes if (amount := declared(node).gpus)]
    if needed:
        found.require_usable()
    count, split = len(found.gpus), any(gpu.mig for gpu in found.gpus)
    if too_much := [fault for node, amount in needed if count and (fault := gpu_fault(node, amount, count, split))]:
        raise UserError(*too_much)


def gpu_fault(node: GraphNode, needed: int, count: int, split: bool) -> Diagnostic | None:
    """E181 if a stage needs more GPUs than there are, or several together that are instances of split GPUs."""
    field, processes = _processes(node.config, needed)
    together = needed if field.startswith("launch") else needed // processes
    if split and together > 1:
        cause = f"'{node.name}' needs {together} GPUs that work together; instances of a split GPU (MIG) cannot"
        lower = f"{node.section}.{node.name}.{field}" if together == needed else "the engine's tensor_parallel_size"
        return Diagnostic("E181", cause, f"set {lower} to 1, or turn MIG off", node.place)
    if needed <= count:
        return None
    cause = f"'{node.name}' needs {needed} GPUs ({field}: {processes}), and this machine has {count}"
    fitting = next((fewer for fewer in range(count * processes // needed, 0, -1) if _is_valid(node, field, fewer)), 0)
    remedy = f"set {node.section}.{node.name}.{field} to {fitting}"
    if not fitting:
        remedy = f"one engine needs {needed // processes} GPUs: lower its tensor_parallel_size to {count} or less"
    return Diagnostic("E181", cause, remedy, node.locate(tuple(field.split("."))) or node.place)


def _processes(config: StageConfig, needed: int) -> tuple[str, int]:
    """The field with the number of processes, and its value."""
    if processes := getattr(config, "processes", None):
        return "processes", processes
    return "launch.processes", needed


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
