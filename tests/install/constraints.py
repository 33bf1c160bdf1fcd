"""Writes constraints files: the tested version of each package that astro-factory declares, and of what those need.

    .venv/bin/python -m tests.install.constraints constraints.txt train gym report ...

The versions are those of the running environment. A declared package that is not installed is left out.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
OURS = "astro-factory"
_HEAD = """\
# The versions that the tests ran with, on Linux with Python {python}. Written by `make constraints`; do not edit.
# pip install -c {name} 'astro-factory[{extras}]'
"""


def closure(extras: Iterable[str]) -> dict[str, str]:
    """The installed packages that astro-factory with these extras needs, by name."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(OURS, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        if name == OURS:
            waiting += _needed(declared(extra), extra)
            continue
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = Version(installed.version).public  # without the build, such as +cpu
        waiting += _needed(installed.requires or (), extra)
    return dict(sorted(found.items()))


def declared(extra: str = "") -> list[str]:
    """The requirements in pyproject.toml, of the package or of one extra. Those of an editable install may be older."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["optional-dependencies"][extra] if extra else project["dependencies"]


def _needed(requirements: Iterable[str], extra: str) -> Iterator[tuple[str, str]]:
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            name = canonicalize_name(requirement.name)
            yield from ((name, wanted) for wanted in ("", *requirement.extras))


def write(file: Path, extras: list[str]) -> None:
    """Write a constraints file for these extras, in the form that pip reads."""
    python = ".".join(map(str, sys.version_info[:2]))
    lines = [f"{name}=={version}\n" for name, version in closure(extras).items()]
    file.write_text(
        _HEAD.format(python=python, name=file.name, extras=",".join(extras)) + "".join(lines), encoding="utf-8"
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2:])
