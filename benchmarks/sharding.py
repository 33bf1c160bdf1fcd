"""Losses of the SFT stage in two processes with DDP, ZeRO-3 and FSDP2, on CPUs over gloo.

    python -m benchmarks.sharding --json

Each trains the same small Llama on the same dialogues in single precision. It prints a table in Markdown; the last line
is JSON with the losses, and with the greatest difference of each measure from DDP's.
"""

import argparse
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import load_file

from astro_factory.gpu_check.rig import Rig
from benchmarks.fsdp_on_cpu import sharding_on_cpus

SHARDINGS: dict[str, dict[str, Any]] = {"DDP": {}, "ZeRO-3": {"deepspeed": {"zero_stage": 3}}, "FSDP2": {"fsdp": {}}}
MEASURES = {"loss": "a loss", "grad_norm": "a gradient norm", "weight": "a saved weight"}

Found: TypeAlias = dict[str, dict[str, list[float]]]
"""Of each sharding, the losses, the gradient norms and all weights that were saved, as lists."""


def measure(folder: Path, steps: int) -> Found:
    """Train with each sharding."""
    rig, found = Rig(folder, dry_run=True, visible=[]), {}
    for name, sharding in SHARDINGS.items():
        settings = {"max_steps": steps, "learning_rate": 1e-2, "weight_decay": 0.5, "max_grad_norm": 1.0}
        with sharding_on_cpus() if "fsdp" in sharding else nullcontext():
            ctx, curves = rig.train(name, **settings, launch={"processes": 2, **sharding})
        weights = load_file(ctx.out / "model.safetensors")
        found[name] = {key: [point[key] for point in curves.points] for key in ("loss", "grad_norm")}
        found[name]["weight"] = torch.cat([weights[key].flatten() for key in sorted(weights)]).tolist()
    return found


def differences(found: Found, name: str) -> dict[str, float]:
    """The greatest distance of each measure from that of DDP."""
    one, plain = found[name], found["DDP"]
    return {key: max(abs(a - b) for a, b in zip(one[key], plain[key], strict=True)) for key in MEASURES}


def table(found: Found) -> str:
    rows = [["Step", *found], ["---"] * (len(found) + 1)]
    rows += [
        [str(step), *(f"{loss:.6f}" for loss in losses)]
        for step, losses in enumerate(zip(*(one["loss"] for one in found.values()), strict=True), start=1)
    ]
    for key, text in MEASURES.items():
        apart = [f"{differences(found, name)[key]:.1g}" for name in found if name != "DDP"]
        rows.append([f"greatest difference of {text}", "", *apart])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON (always so; kept for scripts)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.steps)
    print(table(found))
    losses = {name: one["loss"] for name, one in found.items()}
    apart = {name: differences(found, name) for name in found}
    print(json.dumps({"benchmark": "sharding", "losses": losses, "differences": apart}))


if __name__ == "__main__":
    main()
