"""Publish artifacts to the Hub or to a folder: data tables as a dataset repository, or one trained model.

    publish:
      traces: {repo: "${params.org}/astro-traces", artifacts: [trees, traces, direct], licence: apache-2.0}
      model:  {repo: "${params.org}/llama3-8b-astro", artifact: astro_rl, licence: llama3.1}
      local:  {repo: "file:out/astro-traces", artifacts: [traces]}

Everything is assembled and checked first, then published in one commit that names its parent. The output records the
commit and the digest of every file, so a second build has nothing to do.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import NOT_SEMANTIC, Reference, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.graph import GraphNode
from astro_factory.hub.destinations import FileDestination, destination, invalid_name, is_local
from astro_factory.hub.licences import llama_terms, unknown_licence
from astro_factory.hub.provenance import Provenance, hub_repos

OUTPUT = ArtifactType.PUBLICATION
VERSION = 4
HEAVY = False

PROVENANCE_INPUT = "__provenance__"
"""Name of the input folder that the builder adds, with `spec.yaml` and `records/<key>.json`."""
_FILE = "publication.json"

_DataRef = Annotated[
    str,
    Reference(
        (
            ArtifactType.TREES,
            ArtifactType.TRACES,
            ArtifactType.DIALOGUES,
            ArtifactType.PROBLEMS,
            ArtifactType.REPORT,
        ),
        named=True,
    ),
]
_PublishedModelRef = Annotated[str, Reference((ArtifactType.MODEL,), named=True)]


class Config(StageConfig):
    kind: Literal["publish"] = "publish"
    repo: str
    """Destination: `org/name` on the Hub, or `file:PATH`, relative to the folder the build runs in."""
    artifacts: tuple[_DataRef, ...] = ()
    """Trees, traces, dialogues, problems and reports to publish together as one dataset repository."""
    artifact: _PublishedModelRef | None = None
    """The model to publish, instead of `artifacts`."""
    private: bool = True
    """Whether a new repository is private. An existing one is not changed."""
    licence: str | None = None
    """Licence in the card, as the Hub's identifier, such as `apache-2.0`."""
    message: str = Field("Publish with astro-factory", min_length=1)
    """First line of the commit."""
    heartbeat_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 86400.0
    """Longest time without a sign of life. An upload reports no progress, and that of a large model takes hours."""

    @field_validator("repo")
    @classmethod
    def _names_a_place(cls, repo: str) -> str:
        if is_local(repo):
            if not repo.removeprefix("file:").strip("/. "):
                raise ValueError(f"'{repo}' names no folder of its own, such as file:out/traces")
        elif problem := invalid_name(repo):
            raise ValueError(problem)
        return repo

    @field_validator("licence")
    @classmethod
    def _is_known(cls, licence: str | None) -> str | None:
        if licence is not None and (problem := unknown_licence(licence)):
            raise ValueError(problem)
        return licence

    @model_validator(mode="after")
    def _publishes_something(self) -> "Config":
        if bool(self.artifacts) == bool(self.artifact):
            raise ValueError("give either `artifacts` (data) or `artifact` (one model)")
        if len(set(self.artifacts)) < len(self.artifacts):
            raise ValueError("`artifacts` names an artifact twice")
        for name in self.artifacts:
            if not re.fullmatch(r"[\w.-]+", name, re.ASCII):
                raise ValueError(f"'{name}' cannot name a table: `datasets` takes letters, digits and _ . -")
        return self


def run(ctx: StageContext, config: Config) -> None:
    from astro_factory.hub.cards import check_card
    from astro_factory.hub.layout import seal

    provenance_folder = ctx.inputs[PROVENANCE_INPUT]
    provenance = Provenance.read(provenance_folder)
    if faults := _terms_broken(config, provenance.models):
        raise UserError(*faults)
    names = (config.artifact,) if config.artifact else config.artifacts
    files, card = _assembled(ctx, config, provenance)
    check_card(card, files)
    sealed = seal(files, provenance_folder, {name: ctx.digests[name] for name in names})
    ctx.events.log(f"{len(sealed)} files, {sum(file.size for file in sealed.values())} bytes, to {config.repo}")
    place = destination(config.repo, "model" if config.artifact else "dataset", config.private, Path.cwd())
    commit = place.publish(sealed, config.message)
    publication = {
        "destination": config.repo,
        "commit": commit,
        "files": {path: file.sha256 for path, file in sorted(sealed.items())},
    }
    (ctx.out / _FILE).write_text(json.dumps(publication, indent=1) + "\n", encoding="utf-8")


def _assembled(ctx: StageContext, config: Config, provenance: Provenance) -> tuple[dict, str]:
    """All files except the provenance, and the text of the card, which is one of them."""
    from astro_factory.hub.cards import dataset_card, model_card
    from astro_factory.hub.layout import CARD, Payload, data_files, model_files

    if config.artifact:
        folder, terms = ctx.inputs[config.artifact], llama_terms(provenance.models)
        files = model_files(folder, config.artifact)
        if terms:
            files["NOTICE"] = Payload.of(terms.notice.encode())
        card = model_card(config.repo, config.licence, config.artifact, folder, provenance, terms)
    else:
        folders = {name: ctx.inputs[name] for name in config.artifacts}
        files = data_files(folders)
        card = dataset_card(config.repo, config.licence, folders, provenance)
    return files | {CARD: Payload.of(card.encode())}, card


def preflight(config: Config, upstream: Sequence[GraphNode], online: bool) -> list[Diagnostic]:
    """What would stop or spoil this publication, found before any GPU time is spent.

    Args:
        upstream: The nodes that it depends on.
        online: Whether to ask the Hub for the token's rights, for gates, and for the licences of the problem sets.
            Otherwise only names and terms known to this package are checked.
    """
    from astro_factory.hub.preflight import check_on_hub

    if is_local(config.repo):
        return []
    entries = [(node.section, node.kind, node.config.model_dump()) for node in upstream]
    models, datasets = hub_repos("models", entries), hub_repos("problems", entries)
    found = _terms_broken(config, models)
    if online:
        repo_type = "model" if config.artifact else "dataset"
        found += check_on_hub(config.repo, repo_type, config.licence, models, datasets)
    return found


def _terms_broken(config: Config, models: Sequence[str]) -> list[Diagnostic]:
    """Terms of licences that a published model violates. A local folder is not a publication in that sense."""
    from astro_factory.hub.preflight import check_terms

    if is_local(config.repo) or not config.artifact:
        return []
    return check_terms(config.repo, config.licence, models)


def intact(config: Config, output: Path) -> bool:
    """Whether the publication still exists.

    Only a folder is checked. A commit on the Hub stays, and checking it would need the network.
    """
    if not is_local(config.repo):
        return True
    publication = json.loads((output / _FILE).read_text(encoding="utf-8"))
    place = destination(config.repo, "dataset", config.private, Path.cwd())
    return isinstance(place, FileDestination) and place.holds(publication["files"])
