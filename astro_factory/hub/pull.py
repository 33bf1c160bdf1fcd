"""Bring a publication here, whole and checked: every file against the digest its manifest gives.

    astro-factory pull my-org/astro-traces            the newest commit of a repository of data or a model
    astro-factory pull hub:my-org/astro-traces@v1.0   a tag, a branch or a commit
    astro-factory pull file:/mnt/share/astro-traces   a folder

The target is written in one step at the end. An interrupted download goes on where it stopped.
"""

import glob
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.errors import UserError
from astro_factory.hub.client import hub_client, patiently, status_of
from astro_factory.hub.destinations import FileDestination, RepoType, invalid_name, is_local, read_manifest
from astro_factory.hub.layout import MANIFEST, Manifest, Payload

if TYPE_CHECKING:
    from huggingface_hub import HfApi


_TYPES: dict[str, tuple[RepoType, ...]] = {"": ("dataset", "model"), "datasets/": ("dataset",), "models/": ("model",)}


@dataclass(frozen=True)
class Pulled:
    """What a pull brought."""

    source: str
    """Where from, with the commit where there is one: `my-org/astro-traces@91c54ad1...`."""
    target: Path
    artifacts: tuple[str, ...]
    files: tuple[str, ...]
    """Paths below the target."""
    size: int
    """Bytes of all files together."""
    changed: bool
    """Whether anything was written; False where the target held it all."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"target": str(self.target)}


def pull(source: str, target: Path) -> Pulled:
    """Copy a publication to a folder and verify it.

    Args:
        source: `org/name`, `hub:org/name[@revision]` (with `models/` or `datasets/` before the name where both exist),
            or `file:PATH`.
        target: A folder that is new, empty, or holds an earlier pull; files added to it by hand stay.

    Raises:
        UserError: the source is missing, closed to you, no publication or damaged, or the target holds other things.
    """
    if is_local(source):
        return _pull_folder(source, target)
    return _pull_repository(source.removeprefix("hub:"), target)


def _pull_folder(source: str, target: Path) -> Pulled:
    folder = Path(source.removeprefix("file:")).expanduser()
    if not (folder / MANIFEST).is_file():
        raise _no_publication(source)
    data = (folder / MANIFEST).read_bytes()
    manifest = Manifest.parse(data, source)
    changed = not _holds(target, manifest, data)
    if changed:
        FileDestination(target).publish(_verified(folder, manifest, source))
    return _summary(source, target, manifest, changed)


def _pull_repository(source: str, target: Path) -> Pulled:
    api = hub_client()
    name, _, revision = source.partition("@")
    repo, repo_type, commit = find(api, name, revision)
    data = read_manifest_of(api, repo, repo_type, commit)
    manifest = Manifest.parse(data, repo)
    changed = not _holds(target, manifest, data)
    if changed:
        partial = target.parent / f".{target.name}.partial"
        wanted = [glob.escape(path) for path in (*manifest.files, MANIFEST)]

        def download() -> str:
            return api.snapshot_download(
                repo, repo_type=repo_type, revision=commit, local_dir=partial, allow_patterns=wanted
            )

        patiently(repo, download)
        try:
            FileDestination(target).publish(_verified(partial, manifest, source), place=Payload.move_to)
        finally:
            shutil.rmtree(partial)
    return _summary(f"{repo}@{commit}", target, manifest, changed)


def find(api: "HfApi", name: str, revision: str) -> tuple[str, RepoType, str]:
    """Repository, type and commit behind a name: a repository of data or a model, if only one of them exists."""
    from huggingface_hub.errors import RepositoryNotFoundError

    prefix = next((p for p in _TYPES if p and name.startswith(p) and name.count("/") == 2), "")
    repo = name.removeprefix(prefix)
    if problem := invalid_name(repo):
        raise UserError.of("E714", problem, "name a source as `org/name`, `hub:org/name@revision` or `file:PATH`")
    found: list[tuple[str, RepoType, str]] = []
    missing: Exception | None = None
    for repo_type in _TYPES[prefix]:
        try:
            info = patiently(repo, lambda t=repo_type: api.repo_info(repo, repo_type=t, revision=revision or None))
            found.append((repo, repo_type, info.sha))
        except UserError as error:
            if not isinstance(error.__cause__, RepositoryNotFoundError):
                raise
            missing = error
    if not found:
        raise missing
    if len(found) > 1:
        cause = f"{repo} is both a repository of data and a model"
        raise UserError.of("E715", cause, f"say `hub:datasets/{repo}` or `hub:models/{repo}`")
    return found[0]


def read_manifest_of(api: "HfApi", repo: str, repo_type: RepoType, commit: str) -> bytes:
    """The manifest of a publication. Raises `UserError` E717 for a repository that is none."""
    try:
        return read_manifest(api, repo, repo_type, commit)
    except UserError as error:
        raise (_no_publication(repo) if status_of(error) == 404 else error) from error.__cause__


def _holds(target: Path, manifest: Manifest, data: bytes) -> bool:
    digests = {path: entry["sha256"] for path, entry in manifest.files.items()}
    return FileDestination(target).holds(digests | {MANIFEST: Payload.of(data).sha256})


def _verified(folder: Path, manifest: Manifest, source: str) -> dict[str, Payload]:
    """The files that the manifest names, each with the digest it gives, and the manifest.

    Raises:
        UserError: naming every file that is missing or has other bytes.
    """
    files = {path: Payload.of(folder / path) for path in manifest.files if (folder / path).is_file()}
    damaged = [p for p, entry in manifest.files.items() if p not in files or files[p].sha256 != entry["sha256"]]
    if damaged:
        cause = f"{source} is damaged: not what was published is {', '.join(damaged)}"
        raise UserError.of("E716", cause, "pull again; if it stays so, its owner has to publish it again")
    return files | {MANIFEST: Payload.of(folder / MANIFEST)}


def _no_publication(source: str) -> UserError:
    cause = f"{source} holds no {MANIFEST}, so astro-factory did not publish it"
    return UserError.of("E717", cause, "read other data with `kind: hub` or datasets.load_dataset")


def _summary(source: str, target: Path, manifest: Manifest, changed: bool) -> Pulled:
    files = (*sorted(manifest.files), MANIFEST)
    size = sum((target / path).stat().st_size for path in files)
    return Pulled(source, target, tuple(manifest.artifacts), files, size, changed)
