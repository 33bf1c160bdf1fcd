"""Dataset and model cards: statistics, an example, how the publication was made and how to rebuild it.

A card is a function of the published files and the provenance. It contains no date and no version, so equal
publications have equal cards. Its metadata is checked before any upload. Text from models and problem sets is escaped.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from astro_factory.core.errors import UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.hub.card_statistics import TableStatistics, table_statistics
from astro_factory.hub.destinations import is_local
from astro_factory.hub.licences import LlamaTerms, unknown_licence
from astro_factory.hub.provenance import Provenance

_TAGS = ["astro-factory", "reasoning", "chain-of-thought", "search", "synthetic"]
_LONGEST_LINE = 200
_SIZES = [(1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]


def dataset_card(repo: str, licence: str | None, artifacts: Mapping[str, Path], provenance: Provenance) -> str:
    """The card of a dataset repository.

    Args:
        repo: The destination, as in the spec.
        licence: Identifier, or None.
        artifacts: Folder of each artifact by its name, in the spec's order.
    """
    tables, configs = {}, []
    for name, folder in artifacts.items():
        files = sorted(path for path in folder.glob("*.parquet"))
        if files:
            tables[name] = table_statistics(files[0])
            paths = [f"data/{name}/{path.name}" for path in files]
            configs.append({"config_name": name, "data_files": [{"split": "train", "path": paths}]})
    metadata = {
        **_licence(licence, None),
        "task_categories": ["text-generation"],
        "tags": _TAGS,
        "size_categories": [_size(tables.values())],
        "configs": configs,
    }
    example = next((table.example for table in _by_interest(tables) if table.example), None)
    example = {name: _printable(text) for name, text in example.items()} if example else None
    return _render(
        "cards/dataset.jinja",
        metadata,
        repo,
        licence,
        provenance,
        kinds=_sentence([f"`{name}`" for name in artifacts]),
        tables=tables,
        example=example,
        fence=_fence("".join(example.values()) if example else ""),
        terms=None,
    )


def model_card(
    repo: str, licence: str | None, name: str, folder: Path, provenance: Provenance, terms: LlamaTerms | None
) -> str:
    """The card of a model; `terms` are those of the Llama licence if it applies."""
    metadata = {
        **_licence(licence, terms),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": _TAGS,
    }
    if provenance.models:
        metadata["base_model"] = list(provenance.models)
    return _render(
        "cards/model.jinja", metadata, repo, licence, provenance, name=name, facts=_model_facts(folder), terms=terms
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


def _render(
    template: str,
    metadata: Mapping[str, object],
    repo: str,
    licence: str | None,
    provenance: Provenance,
    **context: object,
) -> str:
    import yaml
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(shipped_folder("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # the path of a `file:` destination belongs to the publisher's machine
    place = repo if not is_local(repo) else Path(repo.removeprefix("file:")).name
    source = repo if not is_local(repo) else f"file:{place}"
    environment.filters["plain"] = plain
    text = environment.get_template(template).render(
        metadata=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000),
        title=Path(place).name,
        location=place,
        source=source,
        folder=Path(place).name,
        licence=licence,
        spec=provenance.spec_name,
        stages=provenance.stages,
        sources=[*provenance.models, *provenance.datasets],
        absent=list(provenance.absent),
        **context,
    )
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _licence(licence: str | None, terms: LlamaTerms | None) -> dict[str, str]:
    if not licence:
        return {}
    return {"license": licence} | ({"license_link": terms.link} if terms else {})


def _size(tables: Iterable[TableStatistics]) -> str:
    rows = max((table.rows for table in tables), default=0)
    return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M")


def _by_interest(tables: Mapping[str, TableStatistics]) -> list[TableStatistics]:
    """Tables with backtracks first: they are the most informative."""
    return sorted(tables.values(), key=lambda table: not any(table.backtracks))


def _model_facts(folder: Path) -> list[tuple[str, str]]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    named = [
        ("architecture", "model_type"),
        ("layers", "num_hidden_layers"),
        ("hidden size", "hidden_size"),
        ("attention heads", "num_attention_heads"),
        ("vocabulary", "vocab_size"),
        ("longest context", "max_position_embeddings"),
    ]
    facts = [(words, str(config[key])) for words, key in named if key in config]
    parameters = sum(_parameters(path) for path in folder.glob("*.safetensors"))
    return [*facts, ("parameters", f"{parameters:,}")] if parameters else facts


def _parameters(path: Path) -> int:
    """Number of values in a safetensors file, read from its header: a length of 8 bytes, then JSON."""
    from math import prod

    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _sentence(names: list[str]) -> str:
    text = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return text[:1].upper() + text[1:]


def plain(text: object) -> str:
    """Text from elsewhere as one line of Markdown without any markup: no link, HTML, table cell or heading."""
    line = " ".join(_printable(str(text)).split())[:_LONGEST_LINE]
    return re.sub(r"([\\`*_\[\]<>#|~&$])", r"\\\1", line)


def _printable(text: str) -> str:
    """A text without control and bidirectional characters, which could hide or reorder what a reader sees."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return "".join("\ufffd" if unicodedata.category(c) in hidden and c not in "\n\t" else c for c in text)


def _fence(text: str) -> str:
    """A Markdown fence that does not occur in a text."""
    fence = "~~~"
    while fence in text:
        fence += "~"
    return fence
