"""Prints what the stages of a plan will need of a machine."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from astro_factory.core.machines import GB, Machine
from astro_factory.plan.predictions import Prediction


def print_predictions(needed: Mapping[str, Prediction], machine: Machine, wants_gpus: bool) -> None:
    """A line for each stage that uses a model, and notes. Nothing if there is none.

    `wants_gpus`: whether stages would use GPUs, if there were any.
    """
    shown = {name: found for name, found in needed.items() if found.needs.gpus or found.needs.host}
    if not shown:
        return
    console = Console()
    table = Table("stage", "GPUs", "GB each", "host GB", "disk GB", "hours", "", box=None, pad_edge=False)
    for name, found in shown.items():
        needs = found.needs
        hours = "" if needs.seconds is None else f"{needs.seconds / 3600:,.1f}"
        if found.assumed_problems:
            hours += f" per {found.assumed_problems:,.0f} problems"
        sizes = ["" if size is None else f"{size / GB:,.0f}" for size in (needs.host, needs.disk)]
        gpu = f"{needs.peak_gpu / GB:,.0f}" if needs.gpu else ""
        verdict = "does not fit" if found.fault else ""
        table.add_row(*map(Text, (name, str(needs.gpus or ""), gpu, sizes[0], sizes[1], hours, verdict)))
    console.print(f"predicted peaks and greatest times on {machine}:", style="bold", highlight=False)
    console.print(table)
    for name, found in shown.items():
        for note in found.needs.notes:
            console.print(f"{name}: {note}", highlight=False, markup=False, soft_wrap=True)
    if wants_gpus and not machine.gpus:
        text = "this machine has no GPU, so models run on its CPU; --machine 8xH100-80GB predicts for another machine"
        console.print(text, highlight=False, soft_wrap=True)
