"""`stages`, `templates`, `presets`: what there is to write in a spec, with a line each."""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from astro_factory.cli.options import JsonOption, print_json

_COMMENT = re.compile(r"\{#-?(.*?)-?#\}", re.DOTALL)


def stages(as_json: JsonOption = False) -> None:
    """List the kinds of every section of a spec."""
    from astro_factory.stages import REGISTRIES, load_kind

    _print(
        {
            f"{section}: {kind}": _sentence(inspect.getdoc(inspect.getmodule(found.Config)) or "")
            for section, registry in REGISTRIES.items()
            for kind in registry.names()
            if (found := load_kind(section, kind)) is not None
        },
        as_json,
    )


def templates(as_json: JsonOption = False) -> None:
    """List the templates of the workspace and of the package, by the path that a spec writes."""
    from astro_factory.core.shipped import shipped_folder

    found: dict[str, str] = {}
    for folder in (shipped_folder("templates"), Path("templates")):
        for path in sorted(folder.rglob("*.jinja")):
            comment = _COMMENT.match(path.read_text(encoding="utf-8", errors="replace"))
            found[path.relative_to(folder).as_posix()] = _sentence(comment[1].strip() if comment else "")
    _print(found, as_json)


def presets(as_json: JsonOption = False) -> None:
    """List the data sets that `preset:` of a problem source knows."""
    from astro_factory.stages.problems.presets import PRESETS

    _print({name: f"{found.about}; {found.repo}, {found.licence}" for name, found in PRESETS.items()}, as_json)


def _sentence(text: str) -> str:
    """The first sentence of a text, in one line."""
    return re.split(r"(?<=[.?])\s|\n\s*\n", " ".join(text.split("\n\n")[0].split()), maxsplit=1)[0]


def _print(rows: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        print_json({"entries": [{"name": name, "about": about} for name, about in rows.items()]})
        return
    table = Table.grid(padding=(0, 2))
    for name, about in rows.items():
        table.add_row(name, about)
    Console(markup=False, highlight=False).print(table)


COMMANDS = (stages, templates, presets)
