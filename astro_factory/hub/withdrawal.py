"""Withdraw a publication, or take the withdrawal back, in one commit."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from astro_factory.core.errors import UserError
from astro_factory.hub.client import hub_client
from astro_factory.hub.destinations import Destination, FileDestination, HubDestination
from astro_factory.hub.layout import Notice
from astro_factory.hub.places import invalid_place, is_local, shared_name
from astro_factory.hub.pull import find


@dataclass(frozen=True)
class Withdrawal:
    """What `withdraw` did."""

    place: str
    status: Literal["withdrawn", "restored"]
    commit: str
    """Id of the commit; of a folder, the digest of its files."""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def withdraw(
    place: str, reason: str = "", replaced_by: str = "", *, delete_files: bool = False, undo: bool = False
) -> Withdrawal:
    """Mark a publication as withdrawn; doing it twice changes nothing.

    Args:
        place: `org/name` (with `models/` or `datasets/` before it if both exist) or `file:PATH`.
        reason: For the card and for the errors of those who still use it.
        replaced_by: The publication to use instead, `org/name` or `file:PATH`.
        delete_files: Whether to delete everything but the card and the manifest. Earlier commits of a repository keep
            the files.
        undo: Remove the notice instead.

    Raises:
        UserError: E728 for arguments that do not fit together; others if the place is missing, contains no publication
            or cannot be written.
    """
    if undo and (reason or replaced_by or delete_files):
        raise UserError.of("E728", "--undo removes a notice, so it takes no other option", "leave the others out")
    if replaced_by and (problem := invalid_place(replaced_by)):
        raise UserError.of("E728", problem, "name the publication to use instead as org/name or file:PATH")
    try:
        text, instead = " ".join(reason.split()), shared_name(replaced_by) if replaced_by else ""
        notice = None if undo else Notice(status="withdrawn", reason=text, replaced_by=instead)
    except ValidationError:
        raise UserError.of("E728", "the reason is longer than 1,000 characters", "write one sentence") from None
    message = f"Withdraw: {notice.reason}".rstrip(": ")[:120] if notice else "Remove the notice"
    commit = _destination(place).mark(notice, delete_files, message)
    return Withdrawal(place, "restored" if undo else "withdrawn", commit)


def _destination(place: str) -> Destination:
    if is_local(place):
        return FileDestination(Path(place.removeprefix("file:")).expanduser())
    repo, repo_type, _ = find(hub_client(), place.removeprefix("hub:"), "")
    return HubDestination(repo, repo_type, private=True)
