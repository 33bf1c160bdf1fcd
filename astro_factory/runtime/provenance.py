"""The versions and hardware that made a result. They are stored with the result and are not part of its key."""

import os
import platform
from typing import TypedDict

from astro_factory import __version__
from astro_factory.core.devices import cpu_model, gpu_models
from astro_factory.core.versions import library_versions


class Environment(TypedDict):
    """The software and hardware that a stage runs on."""

    versions: dict[str, str]
    machine: str
    cpu: str
    """The CPU as the system names it."""
    system: str
    cores: int | None
    gpus: list[str]
    """The model of each GPU."""


def key_environment() -> dict[str, object]:
    """The environment in the keys of a spec with `env: strict`: versions and models of hardware, no counts."""
    found = environment()
    gpus = sorted(set(found["gpus"]))
    kind = {"machine": found["machine"], "cpu": found["cpu"], "system": found["system"], "gpus": gpus}
    return {"versions": found["versions"], **kind}


def environment() -> Environment:
    """Versions of everything that can change a result, and the kind of machine."""
    versions = {"astro-factory": __version__, "python": platform.python_version(), **library_versions()}
    return {
        "versions": versions,
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "gpus": gpu_models(),
    }
