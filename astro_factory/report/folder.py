"""The report as a folder that leaves nothing out: a page, and beside it the long texts in parts.

The page reads a part when a view first needs it, as a script that hands over its data: what `file://` allows. The
content security policy admits only scripts that the page's own script inserts.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from astro_factory.report.built import BuiltSpec, Section
from astro_factory.report.page import EVERYTHING, packed, page, sections_of

PART_CHARS = 1_000_000
"""A part is full when its texts have so many characters."""
_LONG = ("text", "kinds", "states", "starts")
"""The columns of samples that go into parts."""
_PART = re.compile(r"(samples|trees)_\d+_\d+\.js")


def write_folder(spec: BuiltSpec, folder: Path) -> None:
    """Write `index.html` and `data/*.js`; parts of an earlier report there are removed."""
    sections = sections_of(spec, EVERYTHING)
    parts: dict[str, object] = {}
    sections["samples"] = [_split_samples(part, f"samples_{n}", parts) for n, part in enumerate(sections["samples"])]
    sections["trees"] = [_split_trees(part, f"trees_{n}", parts) for n, part in enumerate(sections["trees"])]
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    for old in data.iterdir():
        if _PART.fullmatch(old.name):
            old.unlink()
    for name, content in parts.items():
        (data / f"{name}.js").write_text(f'part("{name}", "{packed(content)}");\n', encoding="ascii", newline="\n")
    text = page(spec.graph.name, sections, in_parts=True)
    (folder / "index.html").write_text(text, encoding="utf-8", newline="\n")


def _split_samples(part: Section, name: str, parts: dict[str, object]) -> Section:
    """The samples without their texts, which go into `parts`."""
    columns: Mapping[str, list] = part["columns"]
    starts = list(_starts(map(len, columns["text"])))
    for number, (start, end) in enumerate(pairwise([*starts, len(columns["text"])])):
        parts[f"{name}_{number}"] = {column: columns[column][start:end] for column in _LONG}
    light = {column: values for column, values in columns.items() if column not in _LONG}
    return {**part, "columns": light, "parts": {"name": name, "starts": starts}}


def _split_trees(part: Section, name: str, parts: dict[str, object]) -> Section:
    """What the list of trees shows; the trees go into `parts`."""
    trees: list[Section] = part["trees"]
    starts = list(_starts(len(json.dumps(tree)) for tree in trees))
    for number, (start, end) in enumerate(pairwise([*starts, len(trees)])):
        parts[f"{name}_{number}"] = trees[start:end]
    return {**part, "trees": list(map(_head, trees)), "parts": {"name": name, "starts": starts}}


def _head(tree: Section) -> Section:
    traces = [{key: trace[key] for key in ("stage", "row", "backtracks")} for trace in tree["traces"]]
    return {**{key: tree[key] for key in ("id", "size", "right")}, "traces": traces}


def _starts(sizes: Iterable[int]) -> Iterator[int]:
    """Where each part begins."""
    full = PART_CHARS
    for place, size in enumerate(sizes):
        if full >= PART_CHARS:
            yield place
            full = 0
        full += size
