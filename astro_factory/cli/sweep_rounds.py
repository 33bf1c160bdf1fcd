"""A sweep with halving: some seeds of all variants, then more seeds of those that did better."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from astro_factory.core.canonical import canonical_json
from astro_factory.core.errors import UserError, near
from astro_factory.core.graph import Graph, Variant

if TYPE_CHECKING:
    from astro_factory.spec.sweeps import Halving

_Found = dict[str, Any]
"""A build as `summary` has it."""


class Rounds:
    """The builds of a sweep, each of the next seeds of the variants that are left."""

    def __init__(self, graph: Graph, stage: str, halving: "Halving", where: str):
        """`stage` is the evaluation, `where` how a message calls the sweep. Raises `UserError` E164."""
        self.graph, self.stage, self.halving = graph, stage, halving
        self.config = evaluation_of(graph, stage)
        self.arm = _arm(halving.arm, self.config.arms, where)
        self.seeds = list(dict.fromkeys(variant.seed for variant in graph.variants))

    def built(
        self, build: Callable[[list[str]], _Found], keep_going: bool, tell: Callable[[Mapping[str, Any]], None]
    ) -> tuple[_Found, list[dict[str, Any]]]:
        """All rounds as one build, and what was decided between them."""
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
            tell(rungs[-1])
        return found, rungs

    def _targets(self, left: set[bytes], seeds: list[str]) -> list[str]:
        """What is built of these variants under these seeds."""
        wanted = [v for v in self.graph.variants if v.seed in seeds and canonical_json(v.own) in left]
        return list(dict.fromkeys(node for variant in wanted for node in self._ends(variant)))

    def _ends(self, variant: Variant) -> list[str]:
        return [node for node in variant.nodes.values() if node in (self.graph.targets or ())]


def evaluation_of(graph: Graph, stage: str) -> Any:
    """The config of the evaluation, as the baseline has it."""
    return graph.nodes[next(variant for variant in graph.variants if variant.baseline).nodes[stage]].config


def _arm(asked: str | None, arms: tuple[str, ...], where: str) -> str:
    if asked is None and len(arms) == 1:
        return arms[0]
    if asked in arms:
        return asked
    cause = f"has no arm '{asked}'" if asked else f"has {len(arms)} arms, of which one must decide who goes on"
    remedy = near(asked, arms) if asked else f"write `halving: {{arm: NAME}}` with one of {', '.join(arms)}"
    raise UserError.of("E164", f"the evaluation of {where} {cause}", remedy)


def _together(earlier: _Found, later: _Found) -> _Found:
    """Two builds of parts of one graph as one: what the first made stays, what it failed to make may come later."""
    if not earlier:
        return later
    stages = {stage["name"]: stage for stage in later["stages"]}
    stages |= {stage["name"]: stage for stage in earlier["stages"] if stage["path"] or stage["name"] not in stages}
    failures = {name: why for name, why in earlier["failures"].items() if not stages[name]["path"]} | later["failures"]
    return later | {"ok": not failures, "stages": list(stages.values()), "failures": failures}
