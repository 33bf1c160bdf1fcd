"""The summary of a build: counts, the comparison, paths of outputs, and the next command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astro_factory.cli.options import command_line
from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.plans import Plan, PlannedNode
from astro_factory.core.results import Result
from astro_factory.plan.estimates import Estimate
from astro_factory.runtime import Build, Outcome
from astro_factory.runtime.resources import processors
from astro_factory.store import Store

_MOST = 20
"""Most failures and outputs listed; a sweep may have thousands."""
_WORTH_A_LINE_S = 5.0


def summary(
    planned: Plan, store: Store, done: Build, seconds: float, expected: Mapping[str, Estimate]
) -> dict[str, Any]:
    """The build as JSON: outcome, key, folder and cost of each stage, reports, failures."""
    stages = []
    for name, item in planned.nodes.items():
        result = done.results.get(name)
        folder = store.output(result) if result and store.has_blobs(result) else None
        stages.append(
            {
                "name": name,
                "kind": item.node.kind,
                "outcome": done.outcomes.get(name, Outcome.SKIPPED),
                "key": result.key if result else None,
                "path": str(folder) if folder else None,
                "seconds": done.seconds.get(name, 0.0),
                "estimate": expected[name].as_json() if name in expected else None,
                "took": _took(item, result) if result and done.outcomes.get(name) is Outcome.RAN else None,
            }
        )
    counts: dict[str, int] = {}
    for stage in stages:
        counts[stage["outcome"]] = counts.get(stage["outcome"], 0) + 1
    return {
        "ok": done.ok,
        "spec": planned.graph.name,
        "seconds": round(seconds, 2),
        "counts": counts,
        "variants": [
            {"settings": dict(variant.settings), "baseline": variant.baseline, "nodes": dict(variant.nodes)}
            for variant in planned.graph.variants
        ],
        "stages": stages,
        "failures": done.failures,
        "logs": {name: str(path) for name, path in done.logs.items()},
        "reports": {
            stage["name"]: str(Path(stage["path"]) / "report.json")
            for stage in stages
            if stage["path"] and planned.nodes[stage["name"]].node.output is ArtifactType.REPORT
        },
    }


def _took(item: PlannedNode, result: Result) -> dict[str, Any]:
    """The cost of a run, in the units of its estimate."""
    spent, (count, processor) = result.provenance, processors(item.node)
    return {
        "calls": spent.get("calls", 0),
        "tokens": spent.get("tokens", 0),
        "seconds": round(spent["seconds"] * count, 1),
        "processor": processor,
        "bytes": sum(entry["size"] for entry in result.outputs.values()),
        "rows": spent.get("rows"),
    }


def print_summary(found: dict[str, Any], spec: Path) -> None:
    """The same for people."""
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    reports = {} if found["variants"] else found["reports"]
    for report in reports.values():
        from astro_factory.evaluation.report_schema import Report
        from astro_factory.evaluation.report_tables import headline_table

        console.print(headline_table(Report.read(Path(report).parent)))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in found["counts"].items())
    variants = f", {len(found['variants'])} variants" if found["variants"] else ""
    console.print(f"[bold]{found['spec']}[/bold]{variants}: {counts} in {found['seconds']:.1f} s")
    for name, cause in list(found["failures"].items())[:_MOST]:
        console.print(f"[red]{escape(name)} failed[/red]: ", end="")
        console.print(cause, markup=False, highlight=False, soft_wrap=True)
        if name in found["logs"]:
            console.print(f"  log: {found['logs'][name]}", markup=False, highlight=False, soft_wrap=True)
    if found["failures"]:
        if (more := len(found["failures"]) - _MOST) > 0:
            text = f"and {more:,} more failures; `{command_line('build', spec)} --json` lists them all"
            console.print(text, markup=False, soft_wrap=True)
        text = f"finished stages are kept; fix the cause and run `{command_line('build', spec)}` again"
        console.print(text, markup=False, soft_wrap=True)
        return
    ran = [stage for stage in found["stages"] if stage["took"] and stage["took"]["seconds"] >= _WORTH_A_LINE_S]
    ends = [s for s in found["stages"] if s["path"] and s["kind"] in ("evaluate", "grpo", "linearize", "publish")]
    if not found["variants"]:
        for stage in ran:
            console.print(f"  {stage['name']:<16} took {_cost(stage)}", highlight=False, markup=False, soft_wrap=True)
        for stage in ends[:_MOST]:
            console.print(f"  {stage['name']:<16} {stage['path']}", highlight=False, markup=False, soft_wrap=True)
    for name in reports:
        console.print(f"look closer: {command_line('show', f'{spec}:{name}')}", markup=False, soft_wrap=True)


def _cost(stage: Mapping[str, Any]) -> str:
    """The cost of a stage with its estimate."""
    from astro_factory.cli.tables import size_of, time_of

    took, expected, parts = stage["took"], stage["estimate"] or {}, []
    for name, show in (
        ("seconds", lambda value: time_of(value, took["processor"])),
        ("calls", lambda value: f"{value:,} calls"),
        ("tokens", lambda value: f"{value:,} tokens"),
        ("bytes", size_of),
    ):
        if took[name]:
            before = expected.get(name)
            parts.append(show(took[name]) + (f" (estimated: {show(before)})" if before is not None else ""))
    return ", ".join(parts)
