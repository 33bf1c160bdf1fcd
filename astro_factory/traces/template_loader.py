"""Finds, loads and checks templates: from a name in a spec to the checked sources that a record contains.

    compile_template("reflection/paper.jinja", [workspace / "templates"])

returns a `core.config.TemplateSource`: the entry with the text of every file it includes, imports or extends, so that
rendering needs no files. `traces.error_codes` lists what can be wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from filecmp import cmp
from itertools import islice
from pathlib import Path, PurePosixPath

from jinja2 import TemplateSyntaxError

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, Place, UserError, excerpt, near, shown
from astro_factory.core.files import kind_of
from astro_factory.core.shipped import shipped_folder
from astro_factory.traces import error_codes, template_worker
from astro_factory.traces.sandbox import Sandbox
from astro_factory.traces.template_checks import check_template, references
from astro_factory.traces.template_limits import MAX_FILE_CHARS, MAX_FILES

_MAX_LISTED = 200


def compile_template(entry: str, folders: Sequence[Path], form: str = "reflection") -> TemplateSource:
    """The sources of a template, each from the first folder that contains it, checked as a template of its form.

    Shipped templates are checked in this process; any other file is parsed and checked in a worker with limits.

    Raises:
        UserError: everything that is wrong. Places are file paths, or None if the entry itself cannot be loaded.
    """
    if _is_shipped(entry, folders):
        source, found = load_and_check((entry, folders, form))
    else:
        source, found = template_worker.load_and_check(entry, folders, form)
    if source is None or found:
        raise UserError(*(_at_file(diagnostic, folders) for diagnostic in found))
    return source


def load_and_check(request: tuple[str, Sequence[Path], str]) -> tuple[TemplateSource | None, Sequence[Diagnostic]]:
    """The sources of a template (None if a file is missing) and everything that is wrong with it.

    `request` is the arguments of `compile_template`.
    """
    entry, folders, form = request
    source, found = _load(entry, folders)
    return (None, found) if found else (source, check_template(source, form))


def load_template(name_or_path: str, folders: Sequence[Path]) -> TemplateSource:
    """The text of a template and of every file it includes, imports or extends, without the checks.

    Raises:
        UserError: E301, E302 or E312 for each file that is missing, cannot be read, lies outside or is too large.
    """
    source, found = _load(name_or_path, folders)
    if found:
        raise UserError(*(_at_file(diagnostic, folders) for diagnostic in found))
    return source


def require_template(entry: str, folders: Sequence[Path]) -> None:
    """Raises `UserError` E301, E302 or E312 as `load_template`, but looks at no other file than the template's own."""
    _read(_name_in(entry, folders), folders)


def _load(name_or_path: str, folders: Sequence[Path]) -> tuple[TemplateSource, list[Diagnostic]]:
    entry = _name_in(name_or_path, folders)
    sources: dict[str, str] = {}
    found: list[Diagnostic] = []
    pending: list[tuple[str, Place | None, str]] = [(entry, None, "")]
    while pending:
        name, place, line = pending.pop()
        if name in sources:
            continue
        try:
            if len(sources) == MAX_FILES:
                cause = f"template '{entry}' needs more than {MAX_FILES} files"
                raise UserError.of(error_codes.LIMIT, cause, "include fewer files")
            sources[name] = _read(name, folders)
        except UserError as error:
            found += [replace(diagnostic, place=place, excerpt=line) for diagnostic in error.diagnostics]
            if len(sources) == MAX_FILES:
                break
            continue
        pending += _referenced(name, sources[name], folders)
    return TemplateSource(entry=entry, sources=dict(sorted(sources.items()))), found


def _referenced(name: str, text: str, folders: Sequence[Path]) -> Iterator[tuple[str, Place, str]]:
    """The templates that a file needs, each with the place that names it."""
    try:
        tree = Sandbox({}).parse(text, name)
    except TemplateSyntaxError:
        return  # the check reports it
    for line, names, required in references(tree):
        names = names or []
        text_line = text.splitlines()[line - 1]
        column = max(text_line.find(names[0]) if names else 0, 0) + 1
        existing = [other for other in names if _find(other, folders)]
        for other in existing or (names[:1] if required else []):
            yield other, Place(name, line, column), excerpt(text_line, column)


def _is_shipped(entry: str, folders: Sequence[Path]) -> bool:
    """Whether the entry and every file that it can refer to is a shipped template, or an unchanged copy of one."""
    shipped = shipped_folder("templates")
    if _find(_name_in(entry, folders), [shipped]) is None:
        return False
    for file in shipped.rglob("*.jinja"):
        found = _find(file.relative_to(shipped).as_posix(), folders)
        if found is not None and not cmp(found, file, shallow=False):
            return False
    return True


def _name_in(name_or_path: str, folders: Sequence[Path]) -> str:
    """The name below one of the folders, for a path inside it."""
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
        cause = f"template '{name}' is outside the template folders"
        raise UserError.of(error_codes.OUTSIDE, cause, "name it by its path below templates/")
    path = _find(name, folders)
    if path is None:
        raise UserError.of(error_codes.NOT_FOUND, f"there is no template '{name}'", near(name, _all_names(folders)))
    try:
        if path.stat().st_size > 4 * MAX_FILE_CHARS:  # UTF-8 has at most 4 bytes per character
            cause = f"template '{name}' is longer than {MAX_FILE_CHARS:,} characters"
            raise UserError.of(error_codes.LIMIT, cause, "split or shorten it")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError.of(
            error_codes.NOT_FOUND, f"cannot read template '{name}': {error}", "save it as UTF-8"
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
