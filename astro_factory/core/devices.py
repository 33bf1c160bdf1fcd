"""The GPUs of this machine, counted and dealt out without loading a library that would take hold of them."""

import os
from glob import glob


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return sorted(path.removeprefix("/dev/nvidia") for path in glob("/dev/nvidia[0-9]*"))


def gpu_shares(processes: int) -> list[dict[str, str]]:
    """Environment of each of some processes: the GPUs dealt out evenly where there are enough, else nothing."""
    devices = gpus()
    if len(devices) < processes:
        return [{}] * processes
    each = len(devices) // processes
    return [{"CUDA_VISIBLE_DEVICES": ",".join(devices[i * each : (i + 1) * each])} for i in range(processes)]
