"""The HTML report: one file that needs no network.

The data are compressed JSON in base64, in script elements that are never run, so nothing that a model wrote is part of
the markup; the page's script puts texts into text nodes alone. A content security policy names the digests of the one
style and the one script and allows nothing else: no request, no image, no form.
"""

import base64
import hashlib
import html
import json
import sys
import zlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from astro_factory import __version__
from astro_factory.core.artifacts import ArtifactType
from astro_factory.report.built import BuiltSpec, BuiltStage, Section
from astro_factory.report.data import data_of
from astro_factory.report.mathematics import formulas_in
from astro_factory.report.pipeline import pipeline
from astro_factory.report.samples import likely_choice, samples_of
from astro_factory.report.sweeps import sweep_of
from astro_factory.report.training import curves_of
from astro_factory.report.trees import trees_of
from astro_factory.report.votes import votes_of

SCRIPTS = ("base", "charts", "pipeline", "comparison", "samples", "trees", "votes", "training", "data", "main")
_PILOT = 60
"""Trees whose size shows how many fit."""


@dataclass(frozen=True)
class Room:
    """How many bytes of the file the largest parts may take, and how many voted ends of a verdict are listed."""

    samples: int = 3_200_000
    trees: int = 600_000
    votes: int = 300_000
    ends: int = 1000


EVERYTHING = Room(*[sys.maxsize] * 4)


def write_report(spec: BuiltSpec, path: Path, room: Room = Room()) -> list[str]:
    """Write the report of what is built; returns what it leaves out, a sentence each."""
    sections = sections_of(spec, room)
    path.write_text(page(spec.graph.name, sections), encoding="utf-8", newline="\n")
    return sections["overview"]["notes"]


def sections_of(spec: BuiltSpec, room: Room = Room()) -> Section:
    """The data of a report by the views that read them."""
    evaluations = [stage for stage in spec.of_type(ArtifactType.REPORT) if stage.table_file is not None]
    searches = spec.of_type(ArtifactType.TREES)
    samples = [
        {"stage": stage.name, **_samples(spec, stage, room.samples // len(evaluations))} for stage in evaluations
    ]
    trees = [{"stage": stage.name, **_trees(spec, stage, room.trees // len(searches))} for stage in searches]
    judges = spec.of_type(ArtifactType.VOTES)
    votes = [_votes(spec, stage, room.votes // len(judges), room.ends) for stage in judges]
    found: Section = {
        "pipeline": pipeline(spec),
        "comparison": [_comparison(stage, part) for stage, part in zip(evaluations, samples, strict=True)],
        "samples": samples,
        "trees": [part for part in trees if part["trees"]],
        "votes": [part for part in votes if part["total"]],
        "training": curves_of(spec),
        "data": data_of(spec),
    }
    views = [name for name, content in found.items() if content]
    found["sweep"] = sweep_of(spec)
    found["overview"] = {
        "version": __version__,
        "views": views,
        "notes": [*_notes(samples, "samples"), *_notes(trees, "trees"), *_notes(votes, "voted ends")],
        "formulas": formulas_in(_texts(samples, trees, votes)),
    }
    return found


def _comparison(stage: BuiltStage, samples: Section) -> Section:
    return {
        "stage": stage.name,
        "report": stage.json("report.json"),
        "analysis": stage.json("analysis.json"),
        "solved": samples["solved"],
        "problems": samples["problems"]["all_ids"],
    }


def _samples(spec: BuiltSpec, stage: BuiltStage, room: int) -> Section:
    choice = likely_choice(stage, room)
    found = samples_of(spec, stage, choice)
    while len(packed(found)) > room and choice.every < found["problems_total"]:
        choice = choice.smaller()
        found = samples_of(spec, stage, choice)
    return found


def _trees(spec: BuiltSpec, stage: BuiltStage, room: int) -> Section:
    """As many trees as fit, judged by the size of a few of them."""
    most, found = _PILOT, trees_of(spec, stage, _PILOT)
    size = len(packed(found))
    if found["shown"] < found["total"] and size < room:
        most = min(found["total"], most * room // size)
        found = trees_of(spec, stage, most)
        size = len(packed(found))
    while most > 1 and size > room:
        most = max(1, min(most * 3 // 4, most * room // size))
        found = trees_of(spec, stage, most)
        size = len(packed(found))
    return found


def _votes(spec: BuiltSpec, stage: BuiltStage, room: int, most: int) -> Section:
    found = votes_of(spec, stage, most)
    while most > 1 and len(packed(found)) > room:
        most //= 2
        found = votes_of(spec, stage, most)
    return found


def _notes(parts: list[Section], what: str) -> list[str]:
    return [
        f"Of {part['stage']}, the report holds {part['shown']:,} of {part['total']:,} {what}."
        for part in parts
        if part["shown"] != part["total"]
    ]


def _texts(samples: list[Section], trees: list[Section], votes: list[Section]) -> list[str]:
    """All texts in which a formula is shown."""
    found: list[str] = []
    for part in samples:
        for table in (part["problems"], part["columns"]):
            for name in ("question", "answer", "text"):
                found.extend(table.get(name, ()))
    for part in trees:
        for tree in part["trees"]:
            found.append(tree["question"])
            found.extend(tree["nodes"]["text"])
    for part in votes:
        for end in part["ends"]:
            found.extend([end["question"], *end["steps"]])
    return found


def page(title: str, sections: Section, in_parts: bool = False) -> str:
    """The file's text. `in_parts`: its script may load further scripts, the parts of `folder`."""
    style, script = _asset("style.css"), "\n".join(['"use strict";', *(_asset(f"{name}.js") for name in SCRIPTS)])
    data = "\n".join(
        f'<script type="application/octet-stream" id="data-{name}">{packed(content)}</script>'
        for name, content in sections.items()
    )
    scripts = [f"'{_source(script)}'", *(["'strict-dynamic'"] if in_parts else [])]
    policy = (
        f"default-src 'none'; style-src '{_source(style)}'; script-src {' '.join(scripts)}; base-uri 'none'; "
        "form-action 'none'"
    )
    fields = {"title": html.escape(title), "csp": policy, "style": style, "script": script, "data": data}
    return Template(_asset("page.html")).substitute(fields)


def packed(content: object) -> str:
    """A value as the page reads it: JSON, deflated, in base64."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode())).decode()


def _source(text: str) -> str:
    """A style or script as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return (files("astro_factory.report") / "assets" / name).read_text(encoding="utf-8")
