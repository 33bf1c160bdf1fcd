"""Writes the pages of docs/reference that come from the code: `python -m docs.generate`, or `make reference`.

`tests/docs/test_reference.py` fails when a page on disk differs from what this script writes.
"""

from collections.abc import Callable, Iterator
from inspect import cleandoc
from pathlib import Path

from docs.reference_cli import cli_page
from docs.reference_json import json_page
from docs.reference_spec import spec_page
from docs.trace_gallery import gallery_page

REFERENCE = Path(__file__).parent / "reference"
PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "cli.md": cli_page,
    "spec.md": spec_page,
    "json.md": json_page,
    "gallery.md": gallery_page,
}
_NOTE = "<!-- Written by `make reference`. Edit the docstrings and help texts in the code instead. -->"


def page_text(name: str) -> str:
    """The text of a generated page."""
    return f"{_NOTE}\n\n" + "\n".join(cleandoc(part) + "\n" for part in PAGES[name]())


def main() -> None:
    for name in PAGES:
        (REFERENCE / name).write_text(page_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
