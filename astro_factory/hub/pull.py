"""Download a publication and verify every file against the digest in its manifest.

    astro-factory pull my-org/astro-traces            the newest commit of a dataset or model repository
    astro-factory pull hub:my-org/astro-traces@v1.0   a tag, a branch or a commit
    astro-factory pull file:/mnt/share/astro-traces   a folder

The target is replaced in one step at the end. An interrupted download resumes where it stopped.
"""

import glob
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from astro_factory.core.canonical import digest
from astro_factory.core.errors import UserError
from astro_factory.core.file_names import regular_file
from astro_factory.hub.client import hub_client, status_of, with_retries
from astro_factory.hub.destinations import (
    FileDestination,
    RepoType,
    no_publication,
    read_manifest,
)
from astro_factory.hub.layout import MANIFEST, RECORDS, Manifest, Payload
from astro_factory.hub.notices import notice_text, usable
from astro_factory.hub.places import invalid_name, is_local

if TYPE_CHECKING:
    from huggingface_hub import HfApi


_TYPES: dict[str, tuple[RepoType, ...]] = {"": ("dataset", "model"), "datasets/": ("dataset",), "models/": ("model",)}


@dataclass(frozen=True)
class Pulled:
    """The result of a pull."""

    source: str
    """The source, with the commit if it has one: `my-org/astro-traces@91c54ad1...`."""
    target: Path
    artifacts: tuple[str, ...]
    files: tuple[str, ...]
    """Paths below the target."""
    size: int
    """Total size in bytes."""
    changed: bool
    """Whether anything was written; False if the target was up to date."""
    notice: str = ""
    """What the publisher says about it, if there is a newer publication."""

    def as_json(self) -> Mapping[str, object]:
        return asdict(self) | {"target": str(self.target)}


def pull(source: str, target: Path) -> Pulled:
    """Copy a publication to a folder and verify it.

    Args:
        source: `org/name`, `hub:org/name[@revision]` (with `models/` or `datasets/` before the name if both exist),
            or `file:PATH`.
        target: A folder that is new, empty, or contains an earlier pull; other files in it are kept.

    Raises:
        UserError: the source is missing, not accessible, not a publication, withdrawn, damaged or unsafe, or the target
            contains something else.
    """
    if is_local(source):
        return _pull_folder(source, target)
    return _pull_repository(source.removeprefix("hub:"), target)


def _pull_folder(source: str, target: Path) -> Pulled:
    folder = Path(source.removeprefix("file:")).expanduser()
    file = regular_file(folder, MANIFEST)
    if file is None:
        raise no_publication(source)
    data = file.read_bytes()
    manifest = usable(Manifest.parse(data, source), source)
    changed = not _is_current(target, manifest, data)
    if changed:
        FileDestination(target).write(_verified(folder, manifest, source))
    return _summary(source, target, manifest, changed)


def _pull_repository(source: str, target: Path) -> Pulled:
    api = hub_client()
    name, _, revision = source.partition("@")
    repo, repo_type, commit = find(api, name, revision)
    data = read_manifest_of(api, repo, repo_type, commit)
    manifest = usable(Manifest.parse(data, repo), repo)
    changed = not _is_current(target, manifest, data)
    if changed:
        partial = target.parent / f".{target.name}.partial"
        wanted = [glob.escape(path) for path in (*manifest.files, MANIFEST)]

        def download() -> str:
            return api.snapshot_download(
                repo, repo_type=repo_type, revision=commit, local_dir=partial, allow_patterns=wanted
            )

        with_retries(repo, download)
        try:
            FileDestination(target).write(_verified(partial, manifest, source), place=Payload.move_to)
        finally:
            shutil.rmtree(partial)
    return _summary(f"{repo}@{commit}", target, manifest, changed)


def find(api: "HfApi", name: str, revision: str) -> tuple[str, RepoType, str]:
    """Repository, type and commit of a name; the type may be omitted if only one repository has the name."""
    from huggingface_hub.errors import RepositoryNotFoundError

    prefix = next((p for p in _TYPES if p and name.startswith(p) and name.count("/") == 2), "")
    repo = name.removeprefix(prefix)
    if problem := invalid_name(repo):
        raise UserError.of("E714", problem, "name a source as `org/name`, `hub:org/name@revision` or `file:PATH`")
    found: list[tuple[str, RepoType, str]] = []
    missing: list[UserError] = []
    for repo_type in _TYPES[prefix]:
        try:
            info = with_retries(
                repo, lambda kind=repo_type: api.repo_info(repo, repo_type=kind, revision=revision or None)
            )
            assert info.sha is not None
            found.append((repo, repo_type, info.sha))
        except UserError as error:
            if not isinstance(error.__cause__, RepositoryNotFoundError):
                raise
            missing.append(error)
    if not found:
        raise missing[-1]
    if len(found) > 1:
        cause = f"{repo} is both a dataset and a model repository"
        raise UserError.of("E715", cause, f"write `hub:datasets/{repo}` or `hub:models/{repo}`")
    return found[0]


def read_manifest_of(api: "HfApi", repo: str, repo_type: RepoType, commit: str) -> bytes:
    """The manifest of a publication. Raises `UserError` E717 if the repository has none."""
    try:
        return read_manifest(api, repo, repo_type, commit)
    except UserError as error:
        raise (no_publication(repo) if status_of(error) == 404 else error) from error.__cause__


def _is_current(target: Path, manifest: Manifest, data: bytes) -> bool:
    digests = {path: entry.sha256 for path, entry in manifest.files.items()}
    return FileDestination(target).holds(digests | {MANIFEST: Payload.of(data).sha256})


def _verified(folder: Path, manifest: Manifest, source: str) -> dict[str, Payload]:
    """The files of the manifest, each verified against its entry, and the manifest. Links are not followed.

    Raises:
        UserError: E716 listing every file that is missing or differs; E712 for a record under another key than its own.
    """
    present = {path: file for path in manifest.files if (file := regular_file(folder, path))}
    files = {
        path: Payload.of(file) for path, file in present.items() if file.stat().st_size == manifest.files[path].size
    }
    damaged = [p for p, entry in manifest.files.items() if p not in files or files[p].sha256 != entry.sha256]
    if damaged:
        cause = f"{source} is damaged: these files differ from what was published: {', '.join(damaged)}"
        raise UserError.of("E716", cause, "pull again; if the error stays, its owner must publish it again")
    for path in files:
        if path.startswith(RECORDS):
            _check_record(path, files[path].read(), source)
    return files | {MANIFEST: Payload.of(folder / MANIFEST)}


def _check_record(path: str, data: bytes, source: str) -> None:
    """Raises `UserError` E712 unless the record file is named by the digest of its record."""
    try:
        entry = json.loads(data)
        sound = digest(entry["record"]) == entry["key"] == path.removeprefix(RECORDS).removesuffix(".json")
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        cause = f"{path} of {source} is not the record of its key"
        raise UserError.of("E712", cause, "do not use this source: its records were tampered with")


def _summary(source: str, target: Path, manifest: Manifest, changed: bool) -> Pulled:
    files = (*sorted(manifest.files), MANIFEST)
    size = sum((target / path).stat().st_size for path in files)
    notice = notice_text(manifest.notice, source.partition("@")[0]) if manifest.notice else ""
    return Pulled(source, target, tuple(manifest.artifacts), files, size, changed, notice)
