"""Finds the Python code that a spec names: its files, its digest, and whose it is. Nothing is imported.

Used inside `code_folders.looking_in`, so that modules beside the spec are found.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from astro_factory.core import code_folders
from astro_factory.core.annotations import KeyPath, marked
from astro_factory.core.code_check import call_faults
from astro_factory.core.config import Config, UserCode
from astro_factory.core.errors import Diagnostic, Place, UserError, did_you_mean, shown
from astro_factory.core.graph import NamedCode
from astro_factory.core.user_code import code_digest, source_files, source_path
from astro_factory.hub.layout import publication_of


def named_code(
    config: Config, spec: Path, locate: Callable[[KeyPath], Place | None], faults: list[Diagnostic]
) -> tuple[NamedCode, ...]:
    """The code that a config names. What is wrong with it is added to `faults`; W106 is a warning."""
    found = []
    for path, marker, value in marked(type(config), config, UserCode):
        if not value.startswith(marker.prefix):
            continue
        target, at, place = value.removeprefix(marker.prefix), (*path[:-1], marker.digest_field), locate(path)
        code = find_code(target, marker.role, marker.error, place, [spec])
        stated = reduce(_item, at, config)
        # a version that the spec states takes the place of the digest
        found.append(replace(code, digest=code.digest if code.digest == stated else "", digest_path=at))
        faults += _faults(code, marker.arguments)
    return tuple(found)


def find_code(
    target: str, role: str, error: str, place: Place | None = None, named_in: Sequence[Path] = ()
) -> NamedCode:
    """One target. It belongs to the publication that holds its file, the file at `place` or one of `named_in`."""
    module = target.partition(":")[0]
    file, (modules, sources) = source_path(module), _beside_spec(module)
    paths = [*named_in, *([Path(place.file)] if place and place.line else []), *([file] if file else [])]
    owner = next((folder for path in (*paths, *map(Path, sources.values())) if (folder := publication_of(path))), None)
    return NamedCode(
        role=role,
        target=target,
        error=error,
        file=shown(file) if file else "",
        publication=shown(owner) if owner else "",
        place=place,
        digest=code_digest(target),
        folders=code_folders.search_path(),
        modules=modules,
        sources=sources,
    )


def require_unambiguous(code: NamedCode) -> None:
    """Raises `UserError` if an installed module hides one of the same name beside the spec."""
    for top in dict.fromkeys((code.target.partition(".")[0].partition(":")[0], *code.modules)):
        if both := code_folders.hidden(top):
            cause = f"{code}: '{top}' is both {' and '.join(shown(Path(path)) for path in both)}"
            raise UserError.of(code.error, cause, "rename the file beside the spec, or remove one of them", code.place)


def _faults(code: NamedCode, arguments: int | None) -> list[Diagnostic]:
    try:
        require_unambiguous(code)
    except UserError as error:
        return error.diagnostics
    if not code.file and not code.modules:
        module = code.target.partition(":")[0]
        beside = [path.stem for folder in code.folders for path in Path(folder).glob("*.py")]
        remedy = did_you_mean(module, beside) or "put its file beside the spec, or install its package, before a build"
        return [Diagnostic("W106", f"{code}: there is no module '{module}' here", remedy, code.place)]
    return [] if arguments is None else call_faults(code.target, code.error, str(code), arguments)


def _beside_spec(module: str) -> tuple[dict[str, str], dict[str, str]]:
    """The modules beside the spec that a module needs, with their folders, and the paths of all their files."""
    modules, sources = {}, {}
    files = source_files(module)
    for name in (module, *files):
        top = name.partition(".")[0]
        own = code_folders.beside_spec(top)
        if own is None:
            continue
        places = [Path(own.origin)] if own.origin else [Path(place) for place in own.submodule_search_locations or ()]
        is_package = own.submodule_search_locations is not None and own.origin is not None
        folder = places[0].parent.parent if is_package else places[0].parent
        modules[top] = str(folder)
        if path := files.get(name):
            sources[path.relative_to(folder).as_posix()] = str(path)
    return modules, sources


def _item(value: Any, key: Any) -> Any:
    return value[key] if isinstance(value, list | tuple | dict) else getattr(value, key)
