"""The notice of a publication that was withdrawn or superseded: at the top of its card and in its manifest.

A notice in the manifest stops `pull` and `--cache` where the publication was withdrawn, and keeps a second build from
publishing the same artifacts again without it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.hub.card_text import plain, printable
from astro_factory.hub.layout import CARD, MANIFEST, Manifest, Notice, Payload, manifest_payload
from astro_factory.hub.places import is_local, place_link

_START, _END = "<!-- notice of astro-factory -->", "<!-- end of notice -->"
_BLOCK = re.compile(rf"{_START}\n.*?(?:(?P<end>{_END}\n\n?)|\Z)", re.DOTALL)
_CARD = re.compile(r"---\n(?P<metadata>.*?)---\n(?P<body>.*)", re.DOTALL)
_ABOUT_FILES = ("configs", "model-index", "datasets", "size_categories")
"""Metadata that describes files which `delete_files` removes."""


def notice_text(notice: Notice, place: str) -> str:
    """A notice as a sentence; its texts come from the publisher, so they are shown without control characters."""
    reason = f": {_line(notice.reason)}" if notice.reason else ""
    instead = f"; {_line(notice.replaced_by)} replaces it" if notice.replaced_by else ""
    return f"{place} was {notice.status} by its publisher{reason}{instead}"


def usable(manifest: Manifest, place: str) -> Manifest:
    """The manifest. Raises `UserError` E726 if the publication was withdrawn."""
    if manifest.notice and manifest.notice.status == "withdrawn":
        instead = _line(manifest.notice.replaced_by)
        earlier = (
            "ask its publisher" if is_local(place) else "to get the withdrawn files, name an earlier commit after @"
        )
        remedy = f"use {instead}" if instead else earlier
        raise UserError.of("E726", notice_text(manifest.notice, place), remedy)
    return manifest


def keeps_notice(present: Manifest, files: Mapping[str, Payload], place: str) -> bool:
    """Whether a place that has a notice contains the artifacts of `files`, so that its notice must stay.

    Raises:
        UserError: E727 if they were withdrawn.
    """
    if not present.notice or Manifest.parse(files[MANIFEST].read(), place).artifacts != present.artifacts:
        return False
    if present.notice.status == "withdrawn":
        raise UserError.of(
            "E727",
            f"{notice_text(present.notice, place)}, and these are the same artifacts",
            "publish corrected artifacts, or run `astro-factory withdraw --undo` on it first",
        )
    return True


def marked_files(data: Mapping[str, bytes], notice: Notice | None, delete_files: bool) -> dict[str, Payload]:
    """Card and manifest of a publication with a notice.

    Args:
        data: Both as they are, by path; the card may be missing.
        notice: None removes an earlier one.
        delete_files: Whether these two are all that remains.
    """
    manifest: dict[str, Any] = json.loads(data[MANIFEST])
    earlier = Manifest.parse(data[MANIFEST], "the publication").notice
    if earlier and notice and earlier.status == "withdrawn" and notice.status == "superseded":
        notice = Notice(status="withdrawn", reason=earlier.reason, replaced_by=notice.replaced_by)
    model = "config.json" in manifest["files"]
    card = Payload.of(
        _marked_card(data.get(CARD, b"").decode("utf-8", "replace"), notice, delete_files, model).encode()
    )
    manifest["files"] = {**({} if delete_files else manifest["files"]), CARD: card.entry}
    manifest.pop("notice", None)
    if notice:
        manifest["notice"] = notice.model_dump(exclude_defaults=True)
    return {CARD: card, MANIFEST: manifest_payload(manifest)}


def _marked_card(card: str, notice: Notice | None, delete_files: bool, model: bool) -> str:
    """A card with a notice after its metadata; without files, only its title follows."""
    import yaml

    found = _CARD.fullmatch(card)
    metadata, body = (found["metadata"], found["body"]) if found else ("", card)
    body = _BLOCK.sub(lambda block: "" if block["end"] else block[0], body).lstrip("\n")
    fields = yaml.safe_load(metadata) or {}
    changed = {name: value for name, value in fields.items() if name != "new_version"}
    if delete_files:
        changed = {name: value for name, value in changed.items() if name not in _ABOUT_FILES}
        body = "".join(re.findall(r"^# .*\n", body, re.MULTILINE)[:1])
    if notice and model and notice.replaced_by and not notice.replaced_by.startswith("file:"):
        changed["new_version"] = notice.replaced_by  # the Hub shows it at the top of a model's page
    if changed != fields:
        metadata = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=1000)
    block = f"{_block(notice, delete_files, model)}\n\n" if notice else ""
    return (f"---\n{metadata}---\n\n" if metadata else "") + block + body


def _block(notice: Notice, deleted: bool, model: bool) -> str:
    words = [f"**{notice.status.capitalize()}.**"]
    if notice.reason:
        words.append(plain(notice.reason, 1000))
    if notice.replaced_by:
        words.append(f"Use {place_link(notice.replaced_by, model)} instead.")
    if deleted:
        words.append("Its files were deleted.")
    return "\n".join([_START, "> [!WARNING]", f"> {' '.join(words)}", _END])


def _line(text: str) -> str:
    """A publisher's text as one line for a terminal."""
    return " ".join(printable(text).split())[:300].rstrip(".")
