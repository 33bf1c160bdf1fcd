"""Validates an output that this machine did not make: the files that its type needs, and whether they can be read.

Digests prove that a stranger's bytes are the ones that the stranger named, not that a stage can read them. Tables are
read completely; of models only headers and small JSON files, because any bytes are weights.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.errors import UserError
from astro_factory.core.models import POINTER
from astro_factory.core.results import Result
from astro_factory.core.weight_files import read_head
from astro_factory.stages import REGISTRIES, load_kind
from astro_factory.stages.table_decoding import pages_fault

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_JSON = 64 << 20
"""Largest JSON file that is read, in bytes."""
_REQUIRED = {
    ArtifactType.REPORT: ("report.json", "analysis.json", "samples.parquet"),
    ArtifactType.PUBLICATION: ("publication.json",),
} | {type: (name,) for type, name in TABLE_FILES.items()}
_MODEL_JSON = ("config.json", POINTER)
"""A model output has one of these files."""


def output_fault(result: Result, files: Mapping[str, Path] | None = None) -> str | None:
    """Why a stage could not read an output, or None.

    Without `files` (name to path, as far as available) only the names are checked. An output of a kind that is not
    installed passes: no stage of this machine reads it.
    """
    output = _output_type(result)
    if output is None:
        return None
    if fault := _names_fault(output, result.outputs):
        return fault
    for name, path in (files or {}).items():
        try:
            fault = _file_fault(output, name, path)
        except Exception as error:  # whatever a parser raises for bytes that a stranger chose
            fault = next(iter(str(error).splitlines()), type(error).__name__)
        if fault:
            printable = "".join(char if char.isprintable() else "?" for char in fault[:200])
            return f"{name:.80} cannot be used: {printable}"
    return None


def _output_type(result: Result) -> ArtifactType | None:
    section, kind = result.record.get("section"), result.record.get("kind")
    if not (isinstance(section, str) and isinstance(kind, str) and section in REGISTRIES):
        return None
    try:
        found = load_kind(section, kind)
    except UserError:
        return None
    return found.OUTPUT if found else None


def _names_fault(output: ArtifactType, names: Iterable[str]) -> str | None:
    present = set(names)
    if output is ArtifactType.MODEL:
        return None if present & set(_MODEL_JSON) else f"the output has neither {' nor '.join(_MODEL_JSON)}"
    missing = [name for name in _REQUIRED[output] if name not in present]
    return f"the output has no {', '.join(missing)}" if missing else None


def _file_fault(output: ArtifactType, name: str, path: Path) -> str | None:
    if name.endswith(".parquet"):
        from pyarrow.parquet import read_schema

        found = read_schema(path)
        expected = _schemas().get(name) if name in _REQUIRED.get(output, ()) else None
        return (_columns_fault(expected(), found) if expected else None) or pages_fault(path)
    if name.endswith(".safetensors"):
        return _safetensors_fault(path)
    if name in (*_REQUIRED.get(output, ()), *(_MODEL_JSON if output is ArtifactType.MODEL else ())):
        if path.stat().st_size > _MAX_JSON:
            return "it is too large"
        return None if isinstance(json.loads(path.read_bytes()), dict) else "it is not a JSON object"
    return None


@cache
def _schemas() -> "dict[str, Callable[[], pa.Schema]]":
    from astro_factory.core.dialogues import dialogue_schema
    from astro_factory.core.problems import problem_schema
    from astro_factory.core.trees import tree_schema
    from astro_factory.core.votes import vote_schema
    from astro_factory.evaluation.samples import sample_schema
    from astro_factory.traces.trace_table import trace_schema

    return {
        TABLE_FILES[ArtifactType.PROBLEMS]: problem_schema,
        TABLE_FILES[ArtifactType.DIALOGUES]: dialogue_schema,
        TABLE_FILES[ArtifactType.TREES]: tree_schema,
        TABLE_FILES[ArtifactType.VOTES]: vote_schema,
        TABLE_FILES[ArtifactType.TRACES]: trace_schema,
        "samples.parquet": sample_schema,
    }


def _columns_fault(expected: "pa.Schema", found: "pa.Schema") -> str | None:
    from astro_factory.evaluation.samples import LATER_COLUMNS

    for field in expected:
        if field.name in LATER_COLUMNS and field.name not in found.names:
            continue
        if len(found.get_all_field_indices(field.name)) != 1:
            return f"it has no column '{field.name}', or several"
        if not _readable_as(field.type, found.field(field.name).type):
            return f"column '{field.name}' is {found.field(field.name).type}, not {field.type}"
    return None


def _readable_as(expected: "pa.DataType", found: "pa.DataType") -> bool:
    """Whether rows of a type have the expected shape: structs may have more fields, and large types are equal."""
    from pyarrow import types

    if types.is_struct(expected):
        return types.is_struct(found) and all(
            found.get_field_index(field.name) >= 0 and _readable_as(field.type, found.field(field.name).type)
            for field in expected
        )
    if types.is_list(expected):
        return (types.is_list(found) or types.is_large_list(found)) and _readable_as(
            expected.value_type, found.value_type
        )
    for is_type in (types.is_integer, types.is_floating, types.is_boolean):
        if is_type(expected):
            return is_type(found)
    if types.is_string(expected):
        return types.is_string(found) or types.is_large_string(found)
    return found == expected


def _safetensors_fault(path: Path) -> str | None:
    tensors, start = read_head(path)
    end = start + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    return None if end == path.stat().st_size else "its size is not the one that its header declares"
