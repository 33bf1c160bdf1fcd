"""What each stage of a plan will need of a machine, whether it fits, and the smallest change that makes it fit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from pydantic import ValidationError

from astro_factory.core.config import StageConfig
from astro_factory.core.devices import Inventory
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.graph import GraphNode
from astro_factory.core.machines import GB, Machine, this_machine
from astro_factory.core.model_shapes import ModelShape
from astro_factory.core.plans import Hit, Import, Plan
from astro_factory.core.requirements import Changes, Requirements
from astro_factory.core.workload import Workload
from astro_factory.plan.fit import fitting_processes, gpu_fault, has_gpus, require_usable_gpus
from astro_factory.runtime.costs import input_rows, workload_of
from astro_factory.runtime.node_shapes import node_shapes, shapes_by_config_name
from astro_factory.runtime.resources import declared
from astro_factory.stages import stage_kind

_PROBLEMS = 1000.0
"""Assumed number of problems where only the Hub knows it."""
_SHOWN_PARTS = 4


@dataclass(frozen=True, slots=True)
class Prediction:
    """The needs of one node on a machine."""

    needs: Requirements
    assumed_problems: float | None
    """The number of problems that time and disk are for, where it is not known."""
    fault: Diagnostic | None
    """E181 or E182 if it does not fit."""

    def as_json(self) -> dict[str, Any]:
        needs = self.needs
        return {
            "gpus": needs.gpus,
            "peak_gpu_gb": _gb(needs.peak_gpu) if needs.gpu else None,
            "peak_gpu_parts_gb": {name: _gb(size) for name, size in needs.gpu.items() if size},
            "peak_host_gb": None if needs.host is None else _gb(needs.host),
            "disk_gb": None if needs.disk is None else _gb(needs.disk),
            "hours": None if needs.seconds is None else round(needs.seconds / 3600, 2),
            "assumed_problems": None if self.assumed_problems is None else round(self.assumed_problems),
            "fits": self.fault is None,
            "remedy": str(self.fault.remedy) if self.fault else "",
            "notes": list(needs.notes),
        }


NO_PREDICTION = Prediction(Requirements(), None, None).as_json() | {"gpus": None, "fits": None}
"""The JSON of a node that does not run, or whose needs are not known."""


def predictions(plan: Plan, machine: Machine) -> dict[str, Prediction]:
    """A prediction for each node that must run or may have to, if its kind makes one and its model's shape is known.

    Without a GPU everything fits: what a CPU cannot hold is slow or fails, and no rule of ours decides about it.
    """
    shapes = node_shapes({name: item.node for name, item in plan.nodes.items()})
    rows: dict[str, float | None] = {}
    assumed: set[str] = set()
    found: dict[str, Prediction] = {}
    for name, item in plan.nodes.items():
        node = item.node
        workload = workload_of(node, input_rows(node, rows))
        known = {source: count for source, count in rows.items() if source not in assumed}
        if workload.units is not None and workload_of(node, input_rows(node, known)).units is None:
            assumed.add(name)
        if isinstance(item, Hit | Import):
            rows[name] = item.result.provenance.get("rows", workload.rows)
            assumed.discard(name)
            continue
        rows[name] = workload.rows or getattr(node.config, "limit", None)
        if rows[name] is None and node.section == "problems":
            rows[name] = _PROBLEMS
            assumed.add(name)
        needs = _needs(node, node.config, shapes, workload, machine)
        if needs is None and (gpus := int(declared(node).gpus)) and machine.gpus:
            needs = Requirements(gpus)
        if needs is not None:
            problems = _PROBLEMS if name in assumed and needs.seconds is not None else None
            found[name] = Prediction(needs, problems, _fault(plan, node, needs, shapes, workload, machine))
    return found


def _needs(
    node: GraphNode, config: StageConfig, shapes: Mapping[str, ModelShape], workload: Workload, machine: Machine
) -> Requirements | None:
    return stage_kind(node.module).requirements(config, shapes_by_config_name(node, shapes), workload, machine)


def _fault(
    plan: Plan,
    node: GraphNode,
    needs: Requirements,
    shapes: Mapping[str, ModelShape],
    workload: Workload,
    machine: Machine,
) -> Diagnostic | None:
    """E181 or E182 if a node does not fit, with the smallest change that makes it fit."""
    if not machine.gpus:
        return None
    over, first = _over(needs, machine), {}
    fault = gpu_fault(node, int(declared(node).gpus), machine)
    if fault is None and not over:
        return None
    if fault is None:
        fault = Diagnostic("E182", f"'{node.name}' {over}", place=node.place)
    elif fault.remedy:
        return fault
    else:
        first = fitting_processes(node, machine)

    def fits(changes: Changes) -> bool:
        config = _changed(node.config, changes)
        if config is None or not has_gpus(config, int(stage_kind(node.module).gpus(config)), machine):
            return False
        lighter = _needs(node, config, shapes, workload, machine)
        return lighter is None or not _over(lighter, machine)

    base = _changed(node.config, first) or node.config
    options = [first, *(first | changes for changes in stage_kind(node.module).lighter(base, machine))]
    found = next((changes for changes in options if changes and fits(changes)), None)
    if found is None:
        return replace(fault, remedy="use GPUs with more memory, or more of them")
    for path in reversed(list(found)):  # a later option repeats earlier changes, of which some may not be needed
        if path not in first and fits(rest := {name: value for name, value in found.items() if name != path}):
            found = rest
    settings = [f"{_setting(plan, node, path)}={_text(value)}" for path, value in found.items()]
    return replace(fault, remedy=f"set {', '.join(settings)}")


def _over(needs: Requirements, machine: Machine) -> str:
    """What exceeds the machine; empty if everything fits."""
    if machine.gpu_gb and needs.peak_gpu > machine.gpu_gb * GB:
        largest = sorted(needs.gpu.items(), key=lambda part: -part[1])[:_SHOWN_PARTS]
        parts = ", ".join(f"{name} {size / GB:,.0f}" for name, size in largest)
        return f"needs {needs.peak_gpu / GB:,.0f} GB on a GPU of {machine.gpu_gb:,.0f} GB ({parts})"
    if machine.host_gb and needs.host and needs.host > machine.host_gb * GB:
        return f"needs {needs.host / GB:,.0f} GB of main memory, and a node has {machine.host_gb:,.0f}"
    return ""


def _changed(config: StageConfig, changes: Changes) -> StageConfig | None:
    """A config with other values; None if it is not valid."""
    settings = config.model_dump(exclude_unset=True)
    for path, value in changes.items():
        *parents, last = path.split(".")
        inner = reduce(_inner, parents, settings)
        inner[last] = value
    try:
        return type(config).model_validate(settings)
    except ValidationError:
        return None


def _inner(settings: dict[str, Any], name: str) -> dict[str, Any]:
    if not settings.get(name):
        settings[name] = {}
    return settings[name]


def _setting(plan: Plan, node: GraphNode, path: str) -> str:
    """The path in the spec of a field of a stage, which may be in a named engine."""
    name = node.name.partition("[")[0]
    first, _, rest = path.partition(".")
    source: Any = plan.graph.source
    value = source.get(node.section, {}).get(name, {}).get(first)
    if rest and isinstance(value, str):
        return f"{first}s.{value}.{rest}"
    return f"{node.section}.{name}.{path}"


def _text(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _gb(size: float) -> float:
    return round(size / GB, 1)


def require_fit(plan: Plan, found: Inventory) -> None:
    """Raises one `UserError` if the GPUs cannot be used (E180), or stages do not fit this machine (E181, E182)."""
    require_usable_gpus(plan, found)
    if faults := [one.fault for one in predictions(plan, this_machine(found)).values() if one.fault]:
        raise UserError(*faults)
