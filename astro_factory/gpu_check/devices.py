"""Checks of the devices themselves, and of how a build assigns them."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from astro_factory.core.devices import INVENTORY
from astro_factory.gpu_check.rig import Failed, Rig, Skip

if TYPE_CHECKING:
    from astro_factory.runtime.events import BuildEvent

_SPEC = """\
factory: 1
name: two-stages
models: {base: {kind: local, path: MODEL}}
stages:
  documents: {kind: practice, count: 16}
  one:
    kind: sft
    model: base
    data: documents
    learning_rate: 1.0e-5
    max_steps: 2
    seed: 1
  two: {like: one, seed: 2}
"""
_TWO = {"gpus": [{"id": f"GPU-{number}", "name": "stand-in", "memory_gb": 80} for number in range(2)]}
"""For a dry run: GPUs that a build assigns to stages, which run on the CPU all the same."""


def check_devices(rig: Rig) -> str:
    """torch computes on the GPUs that were found, in bf16, and its result is right."""
    import torch

    if rig.device == "cuda":
        if not torch.cuda.is_available():
            raise Failed("torch finds no usable GPU; run `astro-factory doctor`, or add --dry-run for the CPU")
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise Failed("the GPU does not compute in bf16")
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.randn(512, 512, generator=draw) for _ in range(2))
    found = (left.to(rig.device, torch.bfloat16) @ right.to(rig.device, torch.bfloat16)).float().cpu()
    error = ((found - left @ right).norm() / (left @ right).norm()).item()
    rig.figures["bf16_error"] = error
    if not error < 0.01:
        raise Failed(f"a product of bf16 matrices is off by {error:.2%}")
    if rig.device == "cpu":
        return f"CPU, torch {torch.__version__}"
    properties = torch.cuda.get_device_properties(0)
    rig.figures["memory_gb"] = properties.total_memory / 1e9
    return f"{len(rig.visible)} x {properties.name}, {properties.total_memory / 1e9:.0f} GB, torch {torch.__version__}"


def check_sdpa(rig: Rig) -> str:
    """Attention over a long sequence takes a kernel that does not store all scores."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    if rig.device == "cpu":
        raise Skip("only GPUs have such kernels")
    length, heads, width = 8192, 32, 64
    query, key, value = (torch.randn(1, heads, length, width, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    scaled_dot_product_attention(query, key, value, is_causal=True)
    used = torch.cuda.max_memory_allocated() - before
    rig.figures["attention_gb"] = used / 1e9
    scores = 2 * heads * length**2
    if used > scores / 4:
        raise Failed(f"attention over {length} tokens takes {used / 1e9:.1f} GB, as if it stored its scores")
    return f"{used / 1e6:.0f} MB for {length} tokens"


def check_two_stages(rig: Rig) -> str:
    """Two training stages of a build run at the same time, on a GPU each."""
    if not rig.dry_run and len(rig.visible) < 2:
        raise Skip("there is one GPU")
    with rig.environment(**_inventory(rig.folder) if rig.dry_run else rig.all_gpus):
        gpus, times = _built(rig)
    if sorted(map(len, gpus.values())) != [1, 1] or len({gpu for (gpu,) in gpus.values()}) != 2:
        raise Failed(f"the stages should have a GPU each, and have {gpus}")
    first_end, last_start = min(end for _, end in times.values()), max(start for start, _ in times.values())
    if last_start > first_end:
        raise Failed("the second stage started after the first had ended")
    return " and ".join(gpu for (gpu,) in gpus.values())


def _built(rig: Rig) -> tuple[dict[str, list[str]], dict[str, tuple[float, float]]]:
    """The GPUs of both stages, and when they started and ended."""
    from astro_factory.api import load

    spec = rig.folder / "two_stages.yaml"
    spec.write_text(_SPEC.replace("MODEL", str(rig.thin.relative_to(rig.folder))))
    gpus: dict[str, list[str]] = {}
    times: dict[str, tuple[float, float]] = {}

    def watch(stage: str, event: "BuildEvent") -> None:
        if stage not in ("one", "two"):
            return
        now = time.monotonic()
        times[stage] = times.get(stage, (now, now))[0], now
        if event["event"] == "log" and event["text"].startswith("GPUs: "):
            gpus[stage] = event["text"].removeprefix("GPUs: ").split(", ")

    load(spec, store=rig.folder / "store").build(["one", "two"], jobs=2, on_event=watch)
    return gpus, times


def _inventory(folder: Path) -> dict[str, str]:
    file = folder / "inventory.json"
    file.write_text(json.dumps(_TWO))
    return {INVENTORY: str(file)}


def matrix_flops(device: str, size: int) -> float:
    """Operations a second of products of bf16 matrices, the practical limit of the chip."""
    import torch

    matrix = torch.randn(size, size, device=device, dtype=torch.bfloat16)

    def seconds(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            torch.mm(matrix, matrix)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    seconds(3)
    return 10 * 2 * size**3 / seconds(10)
