"""From a template's name to its checked sources: what a spec compiles to, and what a record holds.

    compile_template("reflection/paper.jinja", [workspace / "templates"])

gives a `core.config.TemplateSource`, the entry with the text of every file it includes, imports or extends. Whoever
renders it later needs no file. The codes of what can be wrong are in `traces.error_codes`.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

from jinja2 import TemplateSyntaxError

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, Place, UserError, excerpt, near, shown
from astro_factory.core.files import kind_of
from astro_factory.traces import error_codes
from astro_factory.traces.sandbox import Sandbox
from astro_factory.traces.template_checks import check_template, references

_MAX_LISTED = 200


def compile_template(entry: str, folders: Sequence[Path], form: str = "reflection") -> TemplateSource:
    """The sources of a template, found in the first folder that has each, and checked as a template of its form.

    Raises UserError with everything that is wrong; places are paths of files, or None where the entry itself is wrong.
    """
    source = load_template(entry, folders)
    if found := check_template(source, form):
        raise UserError(*(_at_file(diagnostic, folders) for diagnostic in found))
    return source


def load_template(name_or_path: str, folders: Sequence[Path]) -> TemplateSource:
    """The text of a template and of every file it includes, imports or extends; no file outside the folders is read.

    Raises UserError (E301, E302) naming each file that is missing, cannot be read or lies outside.
    """
    entry = _name_in(name_or_path, folders)
    sources: dict[str, str] = {}
    found: list[Diagnostic] = []
    pending: list[tuple[str, Place | None, str]] = [(entry, None, "")]
    while pending:
        name, place, line = pending.pop()
        if name in sources:
            continue
        try:
            sources[name] = _read(name, folders)
        except UserError as error:
            found += [replace(diagnostic, place=place, excerpt=line) for diagnostic in error.diagnostics]
            continue
        pending += _referenced(name, sources[name], folders)
    if found:
        raise UserError(*(_at_file(diagnostic, folders) for diagnostic in found))
    return TemplateSource(entry=entry, sources=dict(sorted(sources.items())))


def _referenced(name: str, text: str, folders: Sequence[Path]) -> list[tuple[str, Place, str]]:
    """The templates a file needs, each with the place that names it."""
    try:
        tree = Sandbox({}).parse(text, name)
    except TemplateSyntaxError:
        return []  # the check reports it
    needed = []
    for line, names, must in references(tree):
        names = names or []
        present = [other for other in names if _find(other, folders)]
        text_line = text.splitlines()[line - 1]
        column = max(text_line.find(names[0]) if names else 0, 0) + 1
        for other in present or (names[:1] if must else []):
            needed.append((other, Place(name, line, column), excerpt(text_line, column)))
    return needed


def _name_in(name_or_path: str, folders: Sequence[Path]) -> str:
    """A path inside one of the folders becomes the name below it."""
    path = Path(name_or_path)
    if path.is_absolute():
        for folder in folders:
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
    return name_or_path


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        path = folder / name
        if kind_of(path) == "file" and path.resolve().is_relative_to(folder.resolve()):
            return path.resolve()
    return None


def _read(name: str, folders: Sequence[Path]) -> str:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        cause = f"template '{name}' leads out of the template folders"
        raise UserError.of(error_codes.OUTSIDE, cause, "name it by its path below templates/")
    path = _find(name, folders)
    if path is None:
        raise UserError.of(error_codes.NOT_FOUND, f"there is no template '{name}'", near(name, _all_names(folders)))
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError.of(
            error_codes.NOT_FOUND, f"template '{name}' cannot be read: {error}", "save it as UTF-8"
        ) from error


def _all_names(folders: Sequence[Path]) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for folder in folders
        for path in islice(folder.rglob("*.jinja"), _MAX_LISTED)
    ]


def _at_file(diagnostic: Diagnostic, folders: Sequence[Path]) -> Diagnostic:
    """The diagnostic with the path of the file in place of the template's name."""
    place = diagnostic.place
    path = _find(place.file, folders) if place else None
    return replace(diagnostic, place=replace(place, file=shown(path))) if place and path else diagnostic
