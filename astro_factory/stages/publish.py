"""Publish artifacts to the Hub or to a folder: data tables as a dataset repository, or one trained model.

    publish:
      traces: {repo: "${params.org}/astro-traces", artifacts: [trees, traces, direct], licence: apache-2.0}
      model:  {repo: "${params.org}/llama3-8b-astro", artifact: astro_rl, report: report, licence: llama3.1}
      local:  {repo: "file:out/astro-traces", artifacts: [traces]}

Everything is assembled and checked first, then published in one commit that names its parent. The output records the
commit and the digest of every file, so a second build has nothing to do.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import LATER, NOT_SEMANTIC, Reference, StageConfig
from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, UserError, near
from astro_factory.core.graph import GraphNode
from astro_factory.hub.destinations import FileDestination, destination
from astro_factory.hub.licences import llama_terms, unknown_licence
from astro_factory.hub.places import invalid_place, is_local, shared_name
from astro_factory.hub.provenance import Provenance, hub_repos

if TYPE_CHECKING:
    from astro_factory.hub.cards import Labels
    from astro_factory.hub.destinations import RepoType
    from astro_factory.hub.evaluation_results import Evaluation
    from astro_factory.hub.layout import Payload

OUTPUT = ArtifactType.PUBLICATION
VERSION = 5
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
_ReportRef = Annotated[str, Reference((ArtifactType.REPORT,), named=True)]


class Config(StageConfig):
    kind: Literal["publish"] = "publish"
    repo: str
    """Destination: `org/name` on the Hub, or `file:PATH`, relative to the folder the build runs in."""
    artifacts: tuple[_DataRef, ...] = ()
    """Trees, traces, dialogues, problems and reports to publish together as one dataset repository."""
    artifact: _PublishedModelRef | None = None
    """The model to publish, instead of `artifacts`."""
    report: Annotated[_ReportRef | None, LATER] = None
    """The report whose results the model's card shows; the model has to be one of its arms."""
    benchmark_tasks: Annotated[dict[str, str], LATER] = Field(default_factory=dict)
    """Problem sets of the report that the Hub lists as benchmarks: name in the spec to the id of the task in the
    benchmark's `eval.yaml`. Each gets a file in `.eval_results/`, from which the Hub fills its leaderboards."""
    language: Annotated[tuple[str, ...], LATER] = ("en",)
    """Languages of the texts in the card, as ISO 639 codes."""
    private: bool = True
    """Whether a new repository is private. An existing one is not changed."""
    licence: str | None = None
    """Licence in the card, as the Hub's identifier, such as `apache-2.0`."""
    supersedes: Annotated[str | None, LATER] = None
    """An earlier publication that this one replaces, in the form of `repo`. Both cards say so: this publication's, and
    that of the earlier one, which gets a commit of its own."""
    message: str = Field("Publish with astro-factory", min_length=1)
    """First line of the commit."""
    heartbeat_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 86400.0
    """Longest time without a sign of life. An upload reports no progress, and that of a large model takes hours."""

    @field_validator("repo", "supersedes")
    @classmethod
    def _names_a_place(cls, repo: str | None) -> str | None:
        if repo is not None and (problem := invalid_place(repo)):
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
        if self.report and not self.artifact:
            raise ValueError("`report` belongs to a model; list a report to publish in `artifacts`")
        if self.benchmark_tasks and not self.report:
            raise ValueError("`benchmark_tasks` needs the `report` that has the results")
        if self.supersedes == self.repo:
            raise ValueError(
                "`supersedes` names another place than `repo`; in the same place, files are replaced anyway"
            )
        for name in self.artifacts:
            if not re.fullmatch(r"[\w.-]+", name, re.ASCII):
                raise ValueError(f"'{name}' cannot name a table: `datasets` takes letters, digits and _ . -")
        return self


def run(ctx: StageContext, config: Config) -> None:
    from astro_factory.hub.cards import check_card
    from astro_factory.hub.layout import Notice, seal

    provenance_folder = ctx.inputs[PROVENANCE_INPUT]
    provenance = Provenance.read(provenance_folder)
    if config.artifact and (faults := _terms_broken(config, provenance.behind(config.artifact).models)):
        raise UserError(*faults)
    names = (config.artifact,) if config.artifact else config.artifacts
    files, card = (_model if config.artifact else _data)(ctx, config, provenance)
    check_card(card, files)
    sealed = seal(files, provenance_folder, {name: ctx.digests[name] for name in names})
    ctx.events.log(f"{len(sealed)} files, {sum(file.size for file in sealed.values())} bytes, to {config.repo}")
    repo_type: RepoType = "model" if config.artifact else "dataset"
    place = destination(config.repo, repo_type, config.private, Path.cwd())
    commit = place.publish(sealed, config.message)
    if config.supersedes:
        earlier = destination(config.supersedes, repo_type, config.private, Path.cwd())
        name = shared_name(config.repo)
        earlier.mark(Notice(status="superseded", replaced_by=name), False, f"Superseded by {name}")
    publication = {
        "destination": config.repo,
        "commit": commit,
        "files": {path: file.sha256 for path, file in sorted(sealed.items())},
    }
    (ctx.out / _FILE).write_text(json.dumps(publication, indent=1) + "\n", encoding="utf-8")


def _data(ctx: StageContext, config: Config, provenance: Provenance) -> "tuple[dict[str, Payload], str]":
    """The files of a dataset repository except the provenance, and the text of the card, which is one of them."""
    from astro_factory.hub.cards import dataset_card, published_tables
    from astro_factory.hub.croissant import CROISSANT, croissant
    from astro_factory.hub.layout import CARD, Payload, data_files
    from astro_factory.hub.pictures import backtracks_picture
    from astro_factory.hub.session_traces import session_files

    folders = {name: ctx.inputs[name] for name in config.artifacts}
    tables, labels = published_tables(folders), _labels(config)
    card = dataset_card(labels, list(folders), tables, provenance)
    texts = {CARD: card.encode(), CROISSANT: croissant(labels, tables, provenance).encode()} | session_files(folders)
    texts |= {
        f"pictures/{name}.svg": backtracks_picture(name, table.statistics.backtracks)
        for name, table in tables.items()
        if table.statistics.backtracks
    }
    return data_files(folders) | {name: Payload.of(text) for name, text in texts.items()}, card


def _model(ctx: StageContext, config: Config, provenance: Provenance) -> "tuple[dict[str, Payload], str]":
    """The same of a model repository."""
    from astro_factory.hub.cards import model_card
    from astro_factory.hub.evaluation_results import eval_results_files
    from astro_factory.hub.layout import CARD, Payload, model_files
    from astro_factory.hub.pictures import results_picture

    assert config.artifact is not None
    folder, terms = ctx.inputs[config.artifact], llama_terms(provenance.behind(config.artifact).models)
    files = model_files(folder, config.artifact)
    evaluation = _evaluation(ctx.inputs[config.report], config) if config.report else None
    labels = _labels(config)
    card = model_card(labels, config.artifact, folder, provenance, terms, evaluation, config.report)
    texts = {CARD: card.encode()} | ({"NOTICE": terms.notice.encode()} if terms else {})
    if evaluation:
        texts |= eval_results_files(config.artifact, evaluation, config.benchmark_tasks, provenance)
        texts |= {f"pictures/{name}.svg": results_picture(name, found.arms) for name, found in evaluation.sets.items()}
    return files | {name: Payload.of(text) for name, text in texts.items()}, card


def _labels(config: Config) -> "Labels":
    from astro_factory.hub.cards import Labels

    return Labels(config.repo, config.licence, config.language, config.supersedes)


def _evaluation(folder: Path, config: Config) -> "Evaluation":
    """The results of a report. Raises `UserError` E725 if the model is not one of its arms."""
    from astro_factory.evaluation.report_schema import Report
    from astro_factory.hub.evaluation_results import EvaluatedSet, Evaluation, Score

    report = Report.read(folder)
    settings = report.settings
    groups = report.sources or {settings.problems[0]: report}
    if missing := _not_an_arm(config, report.arms):
        raise UserError(missing)
    sets = {
        source: EvaluatedSet(
            group.problems,
            {
                arm: {metric: Score(found.value, found.low, found.high) for metric, found in metrics.items()}
                for arm, metrics in group.arms.items()
            },
        )
        for source, group in groups.items()
    }
    return Evaluation(sets, settings.samples, settings.temperature, settings.max_tokens, settings.confidence)


def _not_an_arm(config: Config, arms: Iterable[str]) -> Diagnostic | None:
    if config.artifact in (arms := list(arms)):
        return None
    cause = f"report '{config.report}' has no arm '{config.artifact}', so it has no results for the card"
    return Diagnostic("E725", cause, near(config.artifact or "", arms) or f"add '{config.artifact}' to its arms")


def preflight(config: Config, upstream: Sequence[GraphNode], online: bool) -> list[Diagnostic]:
    """What would stop or spoil this publication, found before any GPU time is spent.

    Args:
        upstream: The nodes that it depends on.
        online: Whether to ask the Hub for the token's rights, for gates, and for the licences of the problem sets.
            Otherwise only names and terms known to this package are checked.
    """
    from astro_factory.hub.preflight import check_on_hub

    found: list[Diagnostic] = []
    report = next((node for node in upstream if node.name == config.report), None)
    if report is not None and (missing := _not_an_arm(config, getattr(report.config, "arms", ()))):
        found.append(missing)
    if config.supersedes:
        found += _supersedes(config.supersedes, "model" if config.artifact else "dataset", online)
    if is_local(config.repo):
        return found
    entries = [(node.section, node.kind, node.config.model_dump()) for node in _behind(config.artifact, upstream)]
    models, datasets = hub_repos("models", entries), hub_repos("problems", entries)
    found += _terms_broken(config, models)
    if online:
        repo_type = "model" if config.artifact else "dataset"
        found += check_on_hub(config.repo, repo_type, config.licence, models, datasets)
    return found


def _supersedes(place: str, repo_type: "RepoType", online: bool) -> list[Diagnostic]:
    """Whether the earlier publication exists and can be marked."""
    from astro_factory.hub.destinations import no_publication
    from astro_factory.hub.preflight import check_superseded

    if is_local(place):
        there = destination(place, repo_type, True, Path.cwd())
        missing = isinstance(there, FileDestination) and there.manifest() is None
        return list(no_publication(place).diagnostics) if missing else []
    return check_superseded(place, repo_type) if online else []


def _behind(artifact: str | None, upstream: Sequence[GraphNode]) -> Sequence[GraphNode]:
    """The nodes that the model was made from: those of its report's other arms set no terms for it."""
    nodes = {node.name: node for node in upstream}
    if artifact not in nodes:  # data, or a sweep's variant, which has another name
        return upstream
    found, stack = set(), [artifact]
    while stack:
        if (name := stack.pop()) not in found:
            found.add(name)
            stack.extend(nodes[name].references)
    return [node for node in upstream if node.name in found]


def _terms_broken(config: Config, models: Sequence[str]) -> list[Diagnostic]:
    """Terms of licences that a published model violates. A local folder is not a publication in that sense."""
    from astro_factory.hub.preflight import check_terms

    if is_local(config.repo) or not config.artifact:
        return []
    return check_terms(config.repo, config.licence, models)


def intact(config: Config, output: Path) -> bool:
    """Whether the publication still exists, or was withdrawn or superseded, so that it stays as it is.

    Only a folder is checked. A commit on the Hub stays, and checking it would need the network.
    """
    if not is_local(config.repo):
        return True
    publication = json.loads((output / _FILE).read_text(encoding="utf-8"))
    place = destination(config.repo, "dataset", config.private, Path.cwd())
    assert isinstance(place, FileDestination)
    return place.holds(publication["files"]) or bool((manifest := place.manifest()) and manifest.notice)
