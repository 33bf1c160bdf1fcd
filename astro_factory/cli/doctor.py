"""`doctor` looks for problems of this machine and installation; `gpu-check` runs what a build would run."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astro_factory.cli.options import JsonOption, StoreOption, open_store, print_json, read_graph

if TYPE_CHECKING:
    from astro_factory.core.devices import Inventory
    from astro_factory.runtime.doctor import Finding

_STYLE = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(
    spec: Annotated[
        Path | None, typer.Argument(help="Also predict whether this spec fits.", show_default=False)
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check versions, GPUs, disk, Hub token and compiler. Exits with 1 if there is a problem."""
    from astro_factory.runtime.doctor import facts, findings

    known = facts(open_store(store).root)
    found = findings(known) + (_fit(spec, store, known.devices) if spec else [])
    ok = all(finding.level != "problem" for finding in found)
    if as_json:
        print_json({"ok": ok, "findings": [asdict(finding) for finding in found]})
    else:
        from rich.console import Console

        console = Console()
        for finding in found:
            console.print(f"[{_STYLE[finding.level]}]{finding.level:<8}[/] ", end="")
            console.print(f"{finding.name}: {finding.text}", markup=False, highlight=False, soft_wrap=True)
            for more in filter(None, (finding.remedy, finding.source and f"known from {finding.source}")):
                console.print(f"{'':<9}{more}", markup=False, highlight=False, soft_wrap=True)
    if not ok:
        raise typer.Exit(1)


def _fit(spec: Path, store: Path | None, devices: "Inventory") -> "list[Finding]":
    """The predicted needs of each stage of a spec that does not fit this machine, or of the largest."""
    from astro_factory.core.machines import GB, this_machine
    from astro_factory.plan import make_plan
    from astro_factory.plan.locks import locked_commits
    from astro_factory.plan.predictions import predictions
    from astro_factory.runtime.doctor import Finding

    graph, machine = read_graph(spec, None, None), this_machine(devices)
    found = predictions(make_plan(graph, open_store(store), commits=locked_commits(graph)), machine)
    if faults := [one.fault for one in found.values() if one.fault]:
        return [Finding("fit", "problem", fault.cause, fault.remedy) for fault in faults]
    peak = max((one.needs.peak_gpu if machine.gpus else one.needs.host or 0 for one in found.values()), default=0.0)
    where = "on a GPU" if machine.gpus else "of main memory, as there is no GPU"
    level = "ok" if machine.gpus or peak <= machine.host_gb * GB else "warning"
    text = f"{spec.name} needs at most {peak / GB:,.1f} GB {where}"
    return [Finding("fit", level, text, "" if level == "ok" else f"this machine has {machine.host_gb:,.0f} GB")]


def gpu_check(
    dry_run: Annotated[bool, typer.Option(help="Run the same checks on the CPU with tiny models.")] = False,
    only: Annotated[list[str], typer.Option(help="Run this check; repeat for more.")] = [],  # noqa: B006
    limit_s: Annotated[float, typer.Option(help="Checks that have not started by then are skipped.")] = 480.0,
) -> None:
    """Prove this machine and the code on it: training, sharding, saving, sampling, rollouts, speed. Needs no network.

    Prints a line for each check and ends with one line of JSON. Exits with 1 if a check fails.
    """
    from astro_factory.gpu_check.runner import run_checks

    if not run_checks(dry_run, only, limit_s):
        raise typer.Exit(1)


COMMANDS = (doctor, gpu_check)
