"""The GPUs and the CPU of this machine, found without loading a library that would initialize them.

Devices are named by UUID, which means the same GPU in every process, in a container and under a restricted
CUDA_VISIBLE_DEVICES. A GPU that is split (MIG) counts as its instances.
"""

import json
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.nvidia import Fault, Gpu, Installed, cuda_faults, driver_cuda, installed, torch_cuda

INVENTORY = "ASTRO_FACTORY_INVENTORY"
"""For tests only: a JSON file `{"gpus": [{"id", "name", "memory_gb"}], "faults": [[part, cause, remedy]]}` that stands
for the GPUs of this machine. Stages get these ids and run on the CPU all the same."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
_NO_DEVICE = {"", "-1", "none", "void", "NoDevFiles"}
"""Values of CUDA_VISIBLE_DEVICES that hide all GPUs."""
_ON_CPU = f"or set {VISIBLE}= (empty) to run on the CPU"


@dataclass(frozen=True, slots=True)
class Inventory:
    """The GPUs that this process may use."""

    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    """Version of the NVIDIA driver."""
    faults: tuple[Fault, ...] = ()
    """Why the GPUs, or others that are there, cannot be used."""

    def require_usable(self) -> None:
        """Raises `UserError` E180 with each fault."""
        if self.faults:
            raise UserError(*[Diagnostic("E180", fault.cause, fault.remedy) for fault in self.faults])


def inventory() -> Inventory:
    """The GPUs of this machine as far as CUDA_VISIBLE_DEVICES allows."""
    if file := os.environ.get(INVENTORY):
        given = json.loads(Path(file).read_text(encoding="utf-8"))
        faults = tuple(Fault(*fault) for fault in given.get("faults", ()))
        return Inventory(tuple(Gpu(**entry) for entry in given["gpus"]), faults=faults)
    visible = os.environ.get(VISIBLE)
    if visible is not None and visible.strip() in _NO_DEVICE:
        return Inventory()
    program = shutil.which("nvidia-smi")
    found = installed(program) if program else Installed()
    if not found.gpus:
        if not glob("/dev/nvidia[0-9]*"):
            return Inventory()
        cause = "there are GPUs, but nvidia-smi " + ("does not work" if program else "is missing")
        remedy = "install or repair the NVIDIA driver; a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        return Inventory(faults=(Fault("driver", cause, f"{remedy}; {_ON_CPU}"),))
    gpus, unknown = _visible(found, visible)
    faults = [unknown] if unknown else []
    faults += cuda_faults(torch_cuda(), driver_cuda(), found.driver)
    return Inventory(gpus, found.driver, tuple(faults))


def gpus() -> list[str]:
    """The ids of the GPUs that this process may use: those that the build assigned to it, or all of the machine."""
    visible = os.environ.get(VISIBLE)
    if visible is not None:
        return [name for name in map(str.strip, visible.split(",")) if name not in _NO_DEVICE]
    return [gpu.id for gpu in inventory().gpus]


def gpu_models() -> list[str]:
    """The model of each GPU as the NVIDIA driver names it; empty without GPUs or driver."""
    texts = [Path(path).read_text() for path in sorted(glob("/proc/driver/nvidia/gpus/*/information"))]
    return [line.partition(":")[2].strip() for text in texts for line in text.splitlines() if line.startswith("Model:")]


def cpu_model() -> str:
    """The CPU as the system names it, such as `AMD EPYC 7763 64-Core Processor`; empty if it has no name for it."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(errors="replace").splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def gpu_shares(processes: int) -> list[dict[str, str]]:
    """Environment variables for each of several processes, which divide this process's GPUs evenly.

    They are empty without GPUs. Raises `UserError` E181 if there are fewer GPUs than processes.
    """
    devices = gpus()
    if not devices:
        return [{}] * processes
    if len(devices) < processes:
        cause = f"{processes} processes need {processes} GPUs; {len(devices)} are visible"
        raise UserError.of("E181", cause, f"lower `processes` to {len(devices)}")
    each = len(devices) // processes
    return [visible_to(devices[i * each : (i + 1) * each]) for i in range(processes)]


def visible_to(devices: Sequence[str]) -> dict[str, str]:
    """Environment variables that show a process exactly these GPUs."""
    return {VISIBLE: ",".join(devices)}


def torch_device(wanted: str = "auto") -> str:
    """The device for a model in this process: `cuda`, `mps` or `cpu`.

    Raises:
        UserError: E180 if there are GPUs that torch cannot use. A model never falls back to the CPU.
    """
    import torch

    if wanted not in ("auto", "cuda"):
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda" or (gpus() and INVENTORY not in os.environ):
        inventory().require_usable()
        cause = f"torch {torch.__version__} finds no usable GPU; {VISIBLE} is '{os.environ.get(VISIBLE, '')}'"
        raise UserError.of("E180", cause, f"run `astro-factory doctor`; {_ON_CPU}")
    return "mps" if torch.backends.mps.is_available() else "cpu"


def cpu_multiplies_bf16() -> bool:
    """Whether this CPU has instructions to multiply matrices in bf16; without them it takes ten times as long."""
    import torch

    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # not in every build of torch
    return bool(supported and supported())


def _visible(found: Installed, names: str | None) -> tuple[tuple[Gpu, ...], Fault | None]:
    """The GPUs that CUDA_VISIBLE_DEVICES names by number, UUID or the beginning of one."""
    if names is None:
        return tuple(gpu for group in found.gpus for gpu in group), None
    chosen: list[Gpu] = []
    for name in map(str.strip, names.split(",")):
        if name in _NO_DEVICE:  # CUDA ignores what follows
            break
        gpus = _named(found, name)
        if not gpus:
            cause = f"{VISIBLE} names '{name}', and this machine has {len(found.gpus)} GPUs without it"
            return tuple(chosen), Fault(VISIBLE, cause, "use the numbers or UUIDs of `nvidia-smi -L`")
        chosen.append(gpus[0])
    return tuple(dict.fromkeys(chosen)), None


def _named(found: Installed, name: str) -> Sequence[Gpu]:
    if name.isdigit():
        return found.gpus[int(name)] if int(name) < len(found.gpus) else ()
    for uuid, group in zip(found.uuids, found.gpus, strict=True):
        if uuid.startswith(name):
            return group
        if own := [gpu for gpu in group if gpu.id.startswith(name)]:
            return own
    return ()
