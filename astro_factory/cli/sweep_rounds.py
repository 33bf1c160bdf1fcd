"""A sweep with halving: the first seeds of all variants, then more seeds of the better ones."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from astro_factory.core.canonical import canonical_json
from astro_factory.core.errors import UserError, near
from astro_factory.core.graph import Graph, Variant

if TYPE_CHECKING:
    from astro_factory.spec.sweeps import Halving

_Found = dict[str, Any]
"""A build as returned by `summary`."""


class Rounds:
    """The builds of a sweep, each for the next seeds of the remaining variants."""

    def __init__(self, graph: Graph, stage: str, halving: "Halving", where: str):
        """`stage` is the evaluation, `where` describes the sweep in messages. Raises `UserError` E164."""
        self.graph, self.stage, self.halving = graph, stage, halving
        self.config = evaluation_of(graph, stage)
        self.arm = _arm(halving.arm, self.config.arms, where)
        self.seeds = list(dict.fromkeys(variant.seed for variant in graph.variants))

    def built(
        self, build: Callable[[list[str]], _Found], keep_going: bool, report: Callable[[Mapping[str, Any]], None]
    ) -> tuple[_Found, list[dict[str, Any]]]:
        """Build all rounds; returns them as one build, and the decisions, which `report` is called with."""
        from astro_factory.evaluation.halving import halve
        from astro_factory.evaluation.variant_samples import built_variants

        left = {canonical_json(variant.own) for variant in self.graph.variants}
        found: _Found = {}
        rungs: list[dict[str, Any]] = []
        stops = [0, *self.halving.rungs(len(self.seeds)), len(self.seeds)]
        for first, last in pairwise(stops):
            found = _together(found, build(self._targets(left, self.seeds[first:last])))
            if last == stops[-1] or not (found["ok"] or keep_going):
                break
            variants = [
                variant
                for variant in built_variants(self.graph, found, self.stage)
                if canonical_json(variant.settings) in left
            ]
            suite, keep = self.config.suite, self.halving.keep
            rung = halve(variants, last, arm=self.arm, metrics=suite.metrics, samples=suite.samples, keep=keep)
            left -= {canonical_json(settings) for settings in rung.dropped}
            rungs.append(rung._asdict() | {"arm": self.arm})
            report(rungs[-1])
        return found, rungs

    def _targets(self, left: set[bytes], seeds: list[str]) -> list[str]:
        """The targets of these variants and seeds."""
        wanted = [v for v in self.graph.variants if v.seed in seeds and canonical_json(v.own) in left]
        return list(dict.fromkeys(node for variant in wanted for node in self._ends(variant)))

    def _ends(self, variant: Variant) -> list[str]:
        return [node for node in variant.nodes.values() if node in (self.graph.targets or ())]


def evaluation_of(graph: Graph, stage: str) -> Any:
    """The config of the evaluation in the baseline."""
    return graph.nodes[next(variant for variant in graph.variants if variant.baseline).nodes[stage]].config


def _arm(asked: str | None, arms: tuple[str, ...], where: str) -> str:
    if asked is None and len(arms) == 1:
        return arms[0]
    if asked in arms:
        return asked
    cause = (
        f"has no arm '{asked}'" if asked else f"has {len(arms)} arms, one of which must decide which variants continue"
    )
    remedy = near(asked, arms) if asked else f"write `halving: {{arm: NAME}}` with one of {', '.join(arms)}"
    raise UserError.of("E164", f"the evaluation of {where} {cause}", remedy)


def _together(earlier: _Found, later: _Found) -> _Found:
    """Merge two builds of parts of one graph. A stage that failed in the first may have succeeded in the second."""
    if not earlier:
        return later
    stages = {stage["name"]: stage for stage in later["stages"]}
    stages |= {stage["name"]: stage for stage in earlier["stages"] if stage["path"] or stage["name"] not in stages}
    failures = {name: why for name, why in earlier["failures"].items() if not stages[name]["path"]} | later["failures"]
    return later | {"ok": not failures, "stages": list(stages.values()), "failures": failures}
