"""`croissant.json`: a dataset repository described in Croissant, the JSON-LD vocabulary of MLCommons, with RAI fields.

The specifications are http://mlcommons.org/croissant/1.0 and http://mlcommons.org/croissant/RAI/1.0. The date of
publication, which they also want, is that of the repository's commit: a file with a date would differ every day.
Columns with nested values are described in one field as JSON text.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_factory.core.canonical import file_digest
from astro_factory.hub.cards import Labels, PublishedTable
from astro_factory.hub.places import is_local, public_name
from astro_factory.hub.provenance import Provenance
from astro_factory.hub.responsible_use import responsible_use

if TYPE_CHECKING:
    import pyarrow as pa

CROISSANT = "croissant.json"
_TERMS = (
    "citeAs column conformsTo field fileObject fileProperty fileSet format includes isLiveDataset jsonPath key md5 "
    "parentField path recordSet references regex repeated replace samplingRate separator source subField transform "
    "extract equivalentProperty"
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
} | {name: f"{'dct' if name == 'conformsTo' else 'cr'}:{name}" for name in _TERMS.split()}


def croissant(labels: Labels, tables: Mapping[str, PublishedTable], provenance: Provenance) -> str:
    """The text of `croissant.json`; tables by the name of their artifact."""
    name = public_name(labels.repo)
    home = "" if is_local(labels.repo) else f"https://huggingface.co/datasets/{name}"
    use = responsible_use(provenance)
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": Path(name).name,
        "description": f"Search trees and chains of thought made with the method ASTRO. {use.collection}",
        "url": home or "https://arxiv.org/abs/2507.00417",
        "creator": {"@type": "Organization", "name": name.partition("/")[0]},
        "license": labels.licence or "unknown",
        "inLanguage": list(labels.language),
        "keywords": ["reasoning", "chain-of-thought", "search", "synthetic"],
        "citeAs": "Kim et al., ASTRO: Teaching Language Models to Reason by Reflecting and Backtracking In-Context, "
        "arXiv:2507.00417, 2025",
        "rai:dataCollection": use.collection,
        "rai:dataCollectionType": ["Synthetic"],
        "rai:dataBiases": [use.biases],
        "rai:dataLimitations": [use.limitations],
        "rai:dataUseCases": [use.use_cases],
        "rai:personalSensitiveInformation": [use.personal_information],
        "rai:dataSocialImpact": use.social_impact,
        "rai:dataReleaseMaintenancePlan": use.maintenance,
        "distribution": [_file(table, f"data/{artifact}", home) for artifact, table in tables.items()],
        "recordSet": [_records(artifact, table) for artifact, table in tables.items()],
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def _file(table: PublishedTable, folder: str, home: str) -> dict[str, Any]:
    path = f"{folder}/{table.files[0].name}"
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": f"{home}/resolve/main/{path}" if home else path,
        "contentSize": f"{table.files[0].stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": file_digest(table.files[0]),
    }


def _records(artifact: str, table: PublishedTable) -> dict[str, Any]:
    import pyarrow.parquet as pq

    file = f"data/{artifact}/{table.files[0].name}"
    meanings = {name: meaning for name, _, meaning in table.columns}
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{artifact}/{column.name}",
            "name": column.name,
            "description": meanings[column.name],
            "dataType": _type(column.type),
            "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
        }
        for column in pq.read_schema(table.files[0])
    ]
    row = f"Each record is {table.statistics.meaning}."
    return {"@type": "cr:RecordSet", "@id": artifact, "name": artifact, "description": row, "field": fields}


def _type(kind: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
