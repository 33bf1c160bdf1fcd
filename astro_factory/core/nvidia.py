"""What NVIDIA's tools and torch's files say about the GPUs of this machine; nothing here initializes CUDA."""

import ctypes
import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_QUERY = ["--query-gpu=uuid,name,memory.total,driver_version,mig.mode.current", "--format=csv,noheader,nounits"]
_MIG = re.compile(r"^[ \t]+MIG (?P<profile>\S+)\s.*UUID: (?P<id>MIG-[^)]+)\)", re.MULTILINE)
_TIMEOUT_S = 60
"""Without persistence mode the driver takes seconds per GPU to start."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one instance of a split GPU."""

    id: str
    """UUID, as CUDA_VISIBLE_DEVICES takes it."""
    name: str
    memory_gb: float
    """Its memory in 2^30 bytes, the unit in the names of GPUs; 0 if the driver does not say."""
    mig: bool = False
    """Whether it is an instance of a split GPU. Such instances cannot work together on one model."""


class Fault(NamedTuple):
    """Why GPUs that are there cannot be used."""

    part: str
    """What is at fault: `driver`, `torch` or `CUDA_VISIBLE_DEVICES`."""
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Installed:
    """What nvidia-smi lists."""

    gpus: tuple[tuple[Gpu, ...], ...] = ()
    """For each GPU in the order of nvidia-smi: itself, or its instances if it is split."""
    uuids: tuple[str, ...] = ()
    driver: str = ""


@lru_cache(maxsize=4)
def installed(program: str) -> Installed:
    """Empty if nvidia-smi fails."""
    rows = [[cell.strip() for cell in line.split(",")] for line in _output(program, *_QUERY).splitlines()]
    rows = [row for row in rows if len(row) == 5]
    listing = _output(program, "-L") if any(row[4] == "Enabled" for row in rows) else ""
    groups = []
    for uuid, name, memory, _, mig in rows:
        whole = Gpu(uuid, name, _gb(memory))
        groups.append(_instances(listing, whole) if mig == "Enabled" else (whole,))
    return Installed(tuple(groups), tuple(row[0] for row in rows), rows[0][3] if rows else "")


def _instances(listing: str, whole: Gpu) -> tuple[Gpu, ...]:
    """The instances of a split GPU in the text of `nvidia-smi -L`; the memory is part of a profile, as in 3g.40gb."""
    _, _, rest = listing.partition(f"UUID: {whole.id})")
    own = rest.partition("\nGPU ")[0]
    return tuple(
        Gpu(found["id"], f"{whole.name} MIG {found['profile']}", float(size[1]), mig=True)
        for found in _MIG.finditer(own)
        if (size := re.search(r"(\d+)gb", found["profile"]))
    )


def _gb(mebibytes: str) -> float:
    return round(float(mebibytes) / 1024, 1) if mebibytes.isdigit() else 0.0


def cuda_faults(torch: dict[str, str] | None, driver: tuple[int, int] | None, version: str) -> "list[Fault]":
    """Why this torch cannot use GPUs with this driver.

    Args:
        torch: torch's `version` and its `cuda`, which is empty in a CPU build; None if torch is not installed.
        driver: the CUDA version that the driver runs; None if its library is missing.
        version: of the driver.
    """
    if driver is None:
        remedy = "install the NVIDIA driver; a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        return [Fault("driver", "there are GPUs, but the driver's library libcuda.so.1 is missing", remedy)]
    if torch is None:
        return []
    if not torch["cuda"]:
        cause = f"torch {torch['version']} is built for CPUs, so it cannot use the GPUs"
        return [Fault("torch", cause, "install torch's CUDA build")]
    if int(torch["cuda"].partition(".")[0]) > driver[0]:  # within a major version, older drivers run newer code
        newest = f"{driver[0]}.{driver[1]}"
        cause = f"torch {torch['version']} needs CUDA {torch['cuda']}, and driver {version} runs at most CUDA {newest}"
        remedy = f"install a newer driver, or torch built for CUDA {driver[0]}"
        return [Fault("driver", cause, remedy)]
    return []


def driver_cuda() -> tuple[int, int] | None:
    """The newest CUDA that the driver runs. The call initializes nothing."""
    number = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number))
    except (OSError, AttributeError):
        return None
    return number.value // 1000, number.value % 1000 // 10


def torch_cuda() -> dict[str, str] | None:
    """Version and CUDA of the installed torch, read from its files: importing it takes seconds."""
    spec = find_spec("torch")
    if spec is None or not spec.origin:
        return None
    text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    found = dict(re.findall(r"^(__version__|cuda)\b[^=\n]*= *'([^']*)'", text, re.MULTILINE))
    return {"version": found.get("__version__", ""), "cuda": found.get("cuda", "")}


def _output(program: str, *arguments: str) -> str:
    try:
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
