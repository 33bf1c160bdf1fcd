"""The GPUs of this machine, counted and dealt out without loading a library that would take hold of them."""

import os
from glob import glob
from pathlib import Path


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return sorted(path.removeprefix("/dev/nvidia") for path in glob("/dev/nvidia[0-9]*"))


def gpu_models() -> list[str]:
    """The model of each GPU of this machine, as the driver names it; empty where there is none, or no such driver."""
    texts = [Path(path).read_text() for path in sorted(glob("/proc/driver/nvidia/gpus/*/information"))]
    return [line.partition(":")[2].strip() for text in texts for line in text.splitlines() if line.startswith("Model:")]


def gpu_shares(processes: int) -> list[dict[str, str]]:
    """Environment of each of some processes: the GPUs dealt out evenly where there are enough, else nothing."""
    devices = gpus()
    if len(devices) < processes:
        return [{}] * processes
    each = len(devices) // processes
    return [{"CUDA_VISIBLE_DEVICES": ",".join(devices[i * each : (i + 1) * each])} for i in range(processes)]
