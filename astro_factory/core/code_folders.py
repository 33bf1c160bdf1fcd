"""Code beside a spec: modules that are importable from its folder, or from `code/` below it, without installation.

Only modules that the spec names, and what they import from the same folder, are served, after everything that is
installed: another file of the folder never takes the place of a library. The processes of a build get the list in a
variable of their environment, which everything that they start inherits.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from pkgutil import get_importer
from types import ModuleType

from astro_factory.core.files import kind_of

VARIABLE = "ASTRO_FACTORY_CODE"
"""Holds top-level module to folder, as JSON."""
_folders: ContextVar[tuple[str, ...]] = ContextVar("code_folders", default=())


def folders_of(folder: Path) -> tuple[str, ...]:
    """Where modules beside a spec of this folder are looked up; published recipes have theirs in `code/`."""
    here = folder.absolute()
    return tuple(str(path) for path in (here, here / "code") if kind_of(path) == "folder")


@contextmanager
def looking_in(folders: Sequence[str]) -> Iterator[None]:
    """Find modules in these folders, without making them importable."""
    token = _folders.set(tuple(folders))
    try:
        yield
    finally:
        _folders.reset(token)


def search_path() -> tuple[str, ...]:
    """The folders of the present `looking_in`."""
    return _folders.get()


def code_variables(modules: Mapping[str, str]) -> dict[str, str]:
    """The variable that makes modules importable in another process: top-level module to its folder."""
    return {VARIABLE: json.dumps(dict(modules), sort_keys=True)} if modules else {}


def make_importable(modules: Mapping[str, str]) -> None:
    """Make modules importable in this process and in those that it starts."""
    os.environ.update(code_variables(modules))
    install_finder()


def install_finder() -> None:
    """Let this process import what the variable lists."""
    if VARIABLE in os.environ and _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)


def beside_spec(top: str) -> ModuleSpec | None:
    """The top-level module beside the spec, if an import loads it: an installed one comes first."""
    own = _own(top)
    return own if own and (not (installed := _installed(top)) or location(installed) == location(own)) else None


def hidden(top: str) -> tuple[str, str] | None:
    """The files of a module beside the spec and of the installed one that hides it, if there are both."""
    own = _own(top)
    installed = _installed(top) if own and own.loader else None
    if own is None or installed is None or location(installed) == location(own):
        return None
    return location(own), location(installed)


def _own(top: str) -> ModuleSpec | None:
    listed = _listed().get(top)
    return find_in(top, [*search_path(), *([listed] if listed else [])])


def _installed(top: str) -> ModuleSpec | None:
    try:
        return find_spec(top)
    except ValueError:  # a module without a specification, such as __main__ of an interactive session
        return None


def location(spec: ModuleSpec) -> str:
    """The file of a module, or the first folder of a namespace package; what is part of Python is `built-in`."""
    place = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    return os.path.realpath(place) if os.path.exists(place) else place


def find_in(name: str, folders: Sequence[str]) -> ModuleSpec | None:
    """A module in some folders, found without importing anything; several may together form a namespace package."""
    portions: list[str] = []
    for folder in folders:
        finder = get_importer(folder)
        spec = finder.find_spec(name) if finder else None
        if spec and spec.loader:
            return spec
        portions += (spec and spec.submodule_search_locations) or ()
    if not portions:
        return None
    namespace = ModuleSpec(name, None, is_package=True)
    namespace.submodule_search_locations = portions
    return namespace


def _listed() -> Mapping[str, str]:
    return json.loads(os.environ.get(VARIABLE, "{}"))


class _Finder(MetaPathFinder):
    """Serves the listed modules; the parts of a package are found through its own path."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = _listed().get(fullname) if path is None else None
        return find_in(fullname, [folder]) if folder else None


_FINDER = _Finder()
