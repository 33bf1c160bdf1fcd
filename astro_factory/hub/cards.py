"""Dataset and model cards: what it is, in numbers and one example, how it was made and how to make it again.

A card is a function of the published files, the provenance and the spec's words; it holds no date and no version, so
an equal publication has an equal card. Its metadata is checked before any upload.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.hub.card_statistics import Figures, table_figures
from astro_factory.hub.licences import LlamaTerms, unknown_licence
from astro_factory.hub.provenance import Provenance

_TAGS = ["astro-factory", "reasoning", "chain-of-thought", "search", "synthetic"]
_SIZES = [(1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]


def dataset_card(repo: str, licence: str | None, artifacts: Mapping[str, Path], provenance: Provenance) -> str:
    """The card of a repository of data.

    Args:
        repo: The destination as the spec names it.
        licence: Identifier, or None.
        artifacts: Folder of each artifact by its name, in the spec's order.
    """
    tables, configs = {}, []
    for name, folder in artifacts.items():
        files = sorted(path for path in folder.glob("*.parquet"))
        if files:
            tables[name] = table_figures(files[0])
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
    """The card of a model; `terms` are the Llama licence's where it applies."""
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


def check_card(card: str, files: Mapping[str, Any]) -> None:
    """Stop a publication whose card the Hub or `datasets` would not take.

    Raises:
        UserError: naming everything that is wrong.
    """
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
        cause = f"the card would be refused: {'; '.join(faults)}"
        raise UserError.of("E718", cause, "mend the spec; nothing was uploaded")


def _render(
    template: str, metadata: dict[str, Any], repo: str, licence: str | None, provenance: Provenance, **context: Any
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
    place = repo.removeprefix("file:")
    text = environment.get_template(template).render(
        metadata=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000),
        title=Path(place).name,
        location=place,
        source=repo,
        folder=Path(place).name,
        licence=licence,
        spec=provenance.spec_name,
        stages=provenance.stages,
        sources=[*provenance.models, *provenance.datasets],
        **context,
    )
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _licence(licence: str | None, terms: LlamaTerms | None) -> dict[str, Any]:
    if not licence:
        return {}
    return {"license": licence} | ({"license_link": terms.link} if terms else {})


def _size(tables: Any) -> str:
    rows = max((table.rows for table in tables), default=0)
    return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M")


def _by_interest(tables: Mapping[str, Figures]) -> list[Figures]:
    """Traces that go back say most about a repository."""
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


def _fence(text: str) -> str:
    """A Markdown fence that does not occur in a text."""
    fence = "~~~"
    while fence in text:
        fence += "~"
    return fence
