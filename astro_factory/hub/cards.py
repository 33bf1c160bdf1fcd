"""Dataset and model cards: what is published, how to use it, how it was made and how to rebuild it.

A card is a function of the published files and the provenance. It contains no date and no version, so equal
publications have equal cards. Its metadata is checked before any upload. Text from models and problem sets is escaped.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from astro_factory.core.adapters import read_adapter
from astro_factory.core.errors import UserError
from astro_factory.hub.card_statistics import TableStatistics, table_statistics
from astro_factory.hub.card_text import card_text, fence, printable, sentence
from astro_factory.hub.columns import column_meaning
from astro_factory.hub.evaluation_results import Evaluation, model_index
from astro_factory.hub.licences import LlamaTerms, unknown_licence
from astro_factory.hub.model_description import (
    base_models,
    model_facts,
    origin,
    parameters,
    training_table,
    usage,
)
from astro_factory.hub.places import place_link, public_name
from astro_factory.hub.provenance import Provenance
from astro_factory.hub.responsible_use import responsible_use

_TAGS = ["astro-factory", "arxiv:2507.00417", "reasoning", "chain-of-thought", "search", "synthetic"]
_SIZES = [(1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]


class Labels(NamedTuple):
    """What the spec says about a publication."""

    repo: str
    """The destination, as in the spec."""
    licence: str | None = None
    """The Hub's identifier."""
    language: tuple[str, ...] = ("en",)
    """ISO 639 codes."""
    supersedes: str | None = None
    """The earlier publication that this one replaces."""


class PublishedTable(NamedTuple):
    """A table of a dataset repository."""

    files: list[Path]
    statistics: TableStatistics
    columns: list[tuple[str, str, str]]
    """(name, type, meaning)."""

    @property
    def size(self) -> str:
        count = sum(path.stat().st_size for path in self.files)
        return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def published_tables(artifacts: Mapping[str, Path]) -> dict[str, PublishedTable]:
    """The table of each artifact that has one; `artifacts` are folders by name."""
    import pyarrow.parquet as pq

    found = {}
    for name, folder in artifacts.items():
        if files := sorted(folder.glob("*.parquet")):
            columns = [
                (field.name, str(field.type), column_meaning(files[0].name, field.name))
                for field in pq.read_schema(files[0])
            ]
            found[name] = PublishedTable(files, table_statistics(files[0]), columns)
    return found


def dataset_card(
    labels: Labels, artifacts: Sequence[str], tables: Mapping[str, PublishedTable], provenance: Provenance
) -> str:
    """The card of a dataset repository: the names of its artifacts, in the spec's order, and their tables."""
    default = default_config(tables)
    metadata = {
        **_licence(labels.licence, None),
        "language": list(labels.language),
        "pretty_name": Path(public_name(labels.repo)).name,
        "task_categories": ["text-generation"],
        "tags": _TAGS,
        "size_categories": [_size(table.statistics for table in tables.values())],
        "configs": [_config(name, table.files, name == default) for name, table in tables.items()],
    }
    example = next((table.example for table in _by_interest(tables) if table.example), None)
    example = {name: printable(text) for name, text in example.items()} if example else None
    return card_text(
        "cards/dataset.jinja",
        metadata,
        labels.repo,
        provenance,
        kinds=sentence([f"`{name}`" for name in artifacts]),
        tables=tables,
        default=default,
        supersedes=_superseded(labels, model=False),
        example=example,
        fence=fence("".join(example.values()) if example else ""),
        use=responsible_use(provenance),
        licence=labels.licence,
        terms=None,
    )


def default_config(tables: Collection[str]) -> str:
    """The table that `load_dataset(repo)` reads: `traces` if there is one."""
    return "traces" if "traces" in tables else next(iter(tables), "")


def model_card(
    labels: Labels,
    name: str,
    folder: Path,
    provenance: Provenance,
    terms: LlamaTerms | None,
    evaluation: Evaluation | None = None,
    report: str | None = None,
) -> str:
    """The card of a model.

    Args:
        name: The model's name in the spec.
        provenance: Of the model and, if there is an evaluation, of the report.
        terms: Those of the Llama licence if it applies.
        evaluation: Results of the report named `report`.
    """
    lineage, own = provenance.lineage(name), provenance.behind(name)
    title = Path(public_name(labels.repo)).name
    metadata: dict[str, Any] = {
        **_licence(labels.licence, terms),
        "language": list(labels.language),
        "library_name": "peft" if (adapter := read_adapter(folder)) else "transformers",
        "pipeline_tag": "text-generation",
        "tags": _TAGS,
    }
    if bases := base_models(lineage):
        metadata |= {"base_model": bases, "base_model_relation": "adapter" if adapter else "finetune"}
    if own.datasets:
        metadata["datasets"] = list(own.datasets)
    if evaluation:
        metadata["model-index"] = model_index(title, name, evaluation, provenance)
    return card_text(
        "cards/model.jinja",
        metadata,
        labels.repo,
        provenance,
        supersedes=_superseded(labels, model=True),
        name=name,
        origin=origin(lineage, parameters(folder)),
        facts=model_facts(folder),
        usage=usage(folder, lineage, provenance, report),
        adapter=adapter,
        training=training_table(lineage, provenance),
        evaluation=evaluation,
        licence=labels.licence,
        terms=terms,
    )


def check_card(card: str, files: Collection[str]) -> None:
    """Check that the Hub and `datasets` accept a card. Raises `UserError` E718 with everything that is wrong."""
    import yaml

    metadata = yaml.safe_load(card.split("---\n")[1])
    faults = []
    if (licence := metadata.get("license")) and (problem := unknown_licence(licence)):
        faults.append(problem)
    for config in metadata.get("configs", []):
        faults += [f"{path} is missing" for part in config["data_files"] for path in part["path"] if path not in files]
    if "configs" in metadata and not metadata["configs"]:
        faults.append("none of the artifacts is a table")
    if faults:
        cause = f"the Hub would refuse the card: {'; '.join(faults)}"
        raise UserError.of("E718", cause, "fix the spec; nothing was uploaded")


def _config(name: str, files: Iterable[Path], default: bool) -> dict[str, object]:
    paths = [f"data/{name}/{path.name}" for path in files]
    config: dict[str, object] = {"config_name": name, "data_files": [{"split": "train", "path": paths}]}
    return config | ({"default": True} if default else {})


def _licence(licence: str | None, terms: LlamaTerms | None) -> dict[str, str]:
    if not licence:
        return {}
    return {"license": licence} | ({"license_link": terms.link} if terms else {})


def _superseded(labels: Labels, model: bool) -> str:
    return place_link(labels.supersedes, model) if labels.supersedes else ""


def _size(tables: Iterable[TableStatistics]) -> str:
    rows = max((table.rows for table in tables), default=0)
    return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M")


def _by_interest(tables: Mapping[str, PublishedTable]) -> list[TableStatistics]:
    """Tables with backtracks first: they are the most informative."""
    return sorted((table.statistics for table in tables.values()), key=lambda table: not any(table.backtracks))
