"""Estimates of what the stages of a plan will take, from their configs and from earlier runs.

An amount is a mean rate per unit of work times the number of units. The rate comes from the latest runs of the same
stage of the spec or, if there are none, of the same kind. Time is estimated only from runs on this kind of machine;
it, and the bytes of a model, are taken as proportional to the number of parameters where that is known.
Without earlier runs only the limits that follow from the config are known, and the rest stays unknown. A search whose
first trees are in the store, from `probe` or an interrupted build, is extrapolated from these.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from astro_factory.core.context import StageContext
from astro_factory.core.graph import GraphNode
from astro_factory.core.model_shapes import ModelShape
from astro_factory.core.plans import Hit, Import, Plan, PlannedNode, ToRun
from astro_factory.core.workload import Extrapolation, Workload
from astro_factory.runtime.costs import Cost, input_rows, machine_kind, read_costs, workload_of
from astro_factory.runtime.events import EventSender
from astro_factory.runtime.node_shapes import node_shapes, parameters
from astro_factory.runtime.provenance import environment
from astro_factory.runtime.resources import processors
from astro_factory.stages import stage_kind
from astro_factory.store import Store
from astro_factory.store.items import StoredItems

AT_MOST = "at most, by its config"
"""The basis of an estimate without earlier runs."""
_RUNS = 3
"""How many earlier runs count."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run takes; None is unknown."""

    calls: float | None
    """Samples from a model."""
    tokens: float | None
    """Tokens that are sampled or trained on."""
    seconds: float | None
    """Summed over all processors."""
    processor: str
    """What `seconds` counts: `cores` or `GPUs`."""
    bytes: float | None
    rows: float | None
    basis: str
    """What the estimate is based on; empty if everything is unknown."""
    most_calls: float | None = None
    """Samples from a model at most, by the config."""
    most_tokens: float | None = None
    """Sampled tokens at most, by the config."""
    extrapolation: Extrapolation | None = None
    """What the stored items of the run say, if there are any; `calls`, `tokens` and `seconds` then are theirs."""

    def as_json(self) -> dict[str, object]:
        whole = {name: getattr(self, name) for name in ("calls", "tokens", "bytes", "rows")}
        found: dict[str, object] = {name: value if value is None else round(value) for name, value in whole.items()}
        found["seconds"] = self.seconds if self.seconds is None else round(self.seconds, 1)
        found |= {"processor": self.processor, "basis": self.basis}
        for name in ("most_calls", "most_tokens"):
            limit = getattr(self, name)
            found[name] = limit if limit is None else round(limit)
        return found | {"extrapolation": self.extrapolation and self.extrapolation.as_json()}


def estimates(plan: Plan, store: Store) -> dict[str, Estimate]:
    """An estimate for every node that must run or is pending."""
    if all(isinstance(item, Hit) for item in plan.nodes.values()):
        return {}
    machine = machine_kind(environment())
    rows: dict[str, float | None] = {}
    limits: dict[str, float | None] = {}  # rows at most: earlier runs may have had fewer
    found: dict[str, Estimate] = {}
    history: dict[tuple[str, str], list[Cost]] = {}
    shapes = node_shapes({name: item.node for name, item in plan.nodes.items()})
    for name, item in plan.nodes.items():
        workload = workload_of(item.node, input_rows(item.node, rows))
        if isinstance(item, Hit | Import):
            rows[name] = limits[name] = item.result.provenance.get("rows", workload.rows)
            continue
        most = workload_of(item.node, input_rows(item.node, limits))
        kind = (item.node.section, item.node.kind)
        if kind not in history:
            history[kind] = read_costs(store, item.node)
        estimate = _estimate(item.node, plan.graph.name, workload, most, history[kind], machine, shapes)
        found[name] = _with_items(estimate, extrapolation(plan, item, store), processors(item.node)[0])
        limits[name] = most.rows or getattr(item.node.config, "limit", None)
        rows[name] = min((count for count in (found[name].rows, limits[name]) if count is not None), default=None)
    return found


def extrapolation(plan: Plan, item: PlannedNode, store: Store) -> Extrapolation | None:
    """What the stored items of a node say about its run; None if there are none, or its inputs are not in the store."""
    kind = stage_kind(item.node.module)
    if "extrapolate" not in kind.hooks or item.key is None:
        return None
    sources = {name: plan.nodes[source].result for name, source in item.node.reads.items()}
    results = {name: result for name, result in sources.items() if result and store.has_blobs(result)}
    if len(results) < len(sources):
        return None
    staging = store.staging(item.key)
    context = StageContext(
        name=item.node.name,
        inputs={name: store.output(result) for name, result in results.items()},
        digests={name: result.content for name, result in results.items()},
        out=staging / "out",
        scratch=staging / "work",
        items=StoredItems(store.root / "items"),
        events=EventSender(lambda event: None),
    )
    with suppress(OSError, ValueError):  # the store is damaged, which a plan does not mind
        return kind.extrapolate(context, item.config if isinstance(item, ToRun) else item.node.config)
    return None


def _with_items(estimate: Estimate, found: Extrapolation | None, count: float) -> Estimate:
    """The estimate with what is left to do; `count` processors work on it."""
    if found is None:
        return estimate
    return replace(
        estimate,
        calls=found.calls.value,
        tokens=found.tokens.value,
        seconds=found.seconds.value * count if found.seconds else estimate.seconds,
        basis=f"from {found.done:,} of {found.total:,} {found.unit}",
        extrapolation=found,
    )


def _estimate(
    node: GraphNode,
    spec: str,
    workload: Workload,
    most: Workload,
    history: list[Cost],
    machine: str,
    shapes: Mapping[str, ModelShape],
) -> Estimate:
    """An estimate from the work that is likely, or without earlier runs the most that the config allows."""
    comparable = [cost for cost in history if cost.unit == workload.unit]
    stage = node.name.partition("[")[0]
    own = [cost for cost in comparable if (cost.spec, cost.stage) == (spec, stage)][-_RUNS:]
    runs = [_for_size(cost, node, shapes) for cost in own or comparable[-_RUNS:]]
    timed = [cost for cost in runs if cost.machine == machine]
    processor = timed[-1].processor if timed else processors(node)[1]
    units = workload.units
    if not runs or units is None:
        basis = AT_MOST if most.calls is not None or most.tokens is not None else ""
        return Estimate(most.calls, most.tokens, None, processor, None, most.rows, basis, most.calls, most.tokens)
    rows = _scaled(units, runs, lambda cost: cost.rows)
    size = _scaled(units, runs, lambda cost: cost.bytes) if rows is not None else sum(c.bytes for c in runs) / len(runs)
    return Estimate(
        calls=_scaled(units, runs, lambda cost: cost.calls or None),
        tokens=_scaled(units, runs, lambda cost: cost.tokens or None),
        seconds=_scaled(units, timed, lambda cost: cost.seconds),
        processor=processor,
        bytes=size,
        rows=rows,
        basis=f"from {len(runs)} earlier run{'s' * (len(runs) > 1)}{'' if own else f' of {node.kind}'}",
        most_calls=most.calls,
        most_tokens=most.tokens,
    )


def _for_size(cost: Cost, node: GraphNode, shapes: Mapping[str, ModelShape]) -> Cost:
    """An earlier run as it would be with the node's model; unchanged if the size of either model is unknown."""
    size = parameters(node, shapes)
    if not (size and cost.parameters):
        return cost
    ratio = size / cost.parameters
    makes_model = node.name in shapes and cost.rows is None
    return replace(cost, seconds=cost.seconds * ratio, bytes=round(cost.bytes * (ratio if makes_model else 1)))


def _scaled(units: float, runs: Sequence[Cost], amount: Callable[[Cost], float | None]) -> float | None:
    """The mean amount per unit of the runs that know it, times the units."""
    rates = [value / cost.units for cost in runs if (value := amount(cost)) is not None]
    return units * sum(rates) / len(rates) if rates else None


def totals(found: Mapping[str, Estimate]) -> dict[str, Any]:
    """The known amounts summed, whether any is only a limit, and how many estimates have no time."""
    total: dict[str, Any] = {"at_most": any(estimate.basis == AT_MOST for estimate in found.values())}
    for name in ("calls", "tokens", "bytes"):
        total[name] = round(sum(getattr(estimate, name) or 0 for estimate in found.values()))
    for processor in ("cores", "GPUs"):
        seconds = [e.seconds for e in found.values() if e.processor == processor and e.seconds is not None]
        total[f"{processor}_seconds"] = round(sum(seconds), 1)
    return total | {"time_unknown": sum(estimate.seconds is None for estimate in found.values())}
