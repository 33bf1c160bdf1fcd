"""The GPUs of this machine, found without loading a library that would initialize them."""

import os
from glob import glob
from pathlib import Path


def gpus() -> list[str]:
    """The GPUs that this process may use, named as in CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return sorted(path.removeprefix("/dev/nvidia") for path in glob("/dev/nvidia[0-9]*"))


def gpu_models() -> list[str]:
    """The model of each GPU as the NVIDIA driver names it; empty without GPUs or driver."""
    texts = [Path(path).read_text() for path in sorted(glob("/proc/driver/nvidia/gpus/*/information"))]
    return [line.partition(":")[2].strip() for text in texts for line in text.splitlines() if line.startswith("Model:")]


def gpu_shares(processes: int) -> list[dict[str, str]]:
    """Environment variables for each of several processes, which divide the GPUs evenly; empty if there are too few."""
    devices = gpus()
    if len(devices) < processes:
        return [{}] * processes
    each = len(devices) // processes
    return [{"CUDA_VISIBLE_DEVICES": ",".join(devices[i * each : (i + 1) * each])} for i in range(processes)]
