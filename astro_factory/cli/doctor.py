"""`doctor` looks for problems of this machine and installation; `gpu-check` runs what a build would run."""

from dataclasses import asdict
from typing import Annotated

import typer

from astro_factory.cli.options import JsonOption, StoreOption, open_store, print_json

_STYLE = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Check versions, GPUs, disk, Hub token and compiler. Exits with 1 if there is a problem."""
    from astro_factory.runtime.doctor import facts, findings

    found = findings(facts(open_store(store).root))
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
