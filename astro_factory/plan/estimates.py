"""About what the stages of a plan will take, from what their kinds tell of their configs and from earlier runs.

Each amount is so much a unit of the kind's work, as the last runs had it: those of the same stage of the spec if there
are any, else those of its kind. Time is told only from runs on this kind of machine. Without earlier runs there are but
the limits that the config sets, and what nobody can tell stays unknown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from astro_factory.core.results import UNBUILT, Plan, PlannedNode, Status
from astro_factory.core.workload import Workload
from astro_factory.runtime.costs import Cost, costs, machine_kind, rows_read, workload_of
from astro_factory.runtime.provenance import environment
from astro_factory.runtime.resources import processors
from astro_factory.store import Store

AT_MOST = "at most, by its config"
"""The basis of what no earlier run tells."""
_RUNS = 3
"""Earlier runs that count."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run takes; None is unknown."""

    calls: float | None
    """Samples from a model."""
    tokens: float | None
    """Sampled tokens, or those that were trained on."""
    seconds: float | None
    """Of all processors together."""
    processor: str
    """What the seconds are of: `cores` or `GPUs`."""
    bytes: float | None
    rows: float | None
    basis: str
    """What it is told from."""

    def as_json(self) -> dict[str, Any]:
        whole = {name: getattr(self, name) for name in ("calls", "tokens", "bytes", "rows")}
        found: dict[str, Any] = {name: value if value is None else round(value) for name, value in whole.items()}
        found["seconds"] = self.seconds if self.seconds is None else round(self.seconds, 1)
        return found | {"processor": self.processor, "basis": self.basis}


def estimates(plan: Plan, store: Store) -> dict[str, Estimate]:
    """Every node that is to run, or may be, to what that takes."""
    if all(item.status is Status.HIT for item in plan.nodes.values()):
        return {}
    here = machine_kind(environment())
    known: dict[str, float | None] = {}
    found: dict[str, Estimate] = {}
    history: dict[tuple[str, str], list[Cost]] = {}
    for name, item in plan.nodes.items():
        workload = workload_of(item.node, rows_read(item.node, known))
        known[name] = workload.rows
        if item.status in UNBUILT:
            kind = (item.node.section, item.node.kind)
            if kind not in history:
                history[kind] = costs(store, item.node)
            found[name] = _estimate(item, plan.graph.name, workload, history[kind], here)
            known[name] = found[name].rows
        elif item.result is not None:
            known[name] = item.result.provenance.get("rows", workload.rows)
    return found


def _estimate(item: PlannedNode, spec: str, workload: Workload, history: list[Cost], here: str) -> Estimate:
    alike = [cost for cost in history if cost.unit == workload.unit]
    stage = item.node.name.partition("[")[0]
    own = [cost for cost in alike if (cost.spec, cost.stage) == (spec, stage)][-_RUNS:]
    runs = own or alike[-_RUNS:]
    timed = [cost for cost in runs if cost.machine == here]
    processor = timed[-1].processor if timed else processors(item.node)[1]
    if not runs or workload.units is None:
        basis = AT_MOST if workload.calls is not None or workload.tokens is not None else ""
        return Estimate(workload.calls, workload.tokens, None, processor, None, workload.rows, basis)

    def told(amount: Callable[[Cost], float | None], among: list[Cost] = runs) -> float | None:
        rates = [amount(cost) / cost.units for cost in among if amount(cost) is not None]
        return workload.units * sum(rates) / len(rates) if rates else None

    rows = told(lambda cost: cost.rows)
    return Estimate(
        calls=told(lambda cost: cost.calls or None),
        tokens=told(lambda cost: cost.tokens or None),
        seconds=told(lambda cost: cost.seconds, timed),
        processor=processor,
        bytes=told(lambda cost: cost.bytes) if rows is not None else sum(cost.bytes for cost in runs) / len(runs),
        rows=rows,
        basis=_basis(len(runs), "" if own else f" of {item.node.kind}"),
    )


def _basis(count: int, what: str) -> str:
    return f"from {count} earlier run{'s' if count > 1 else ''}{what}"


def sums(found: Mapping[str, Estimate]) -> dict[str, Any]:
    """All together: what is known of each amount, whether that is but a limit, and of how many the time is unknown."""
    total: dict[str, Any] = {"at_most": any(estimate.basis == AT_MOST for estimate in found.values())}
    for name in ("calls", "tokens", "bytes"):
        total[name] = round(sum(getattr(estimate, name) or 0 for estimate in found.values()))
    for processor in ("cores", "GPUs"):
        seconds = [e.seconds for e in found.values() if e.processor == processor and e.seconds is not None]
        total[f"{processor}_seconds"] = round(sum(seconds), 1)
    return total | {"time_unknown": sum(estimate.seconds is None for estimate in found.values())}
