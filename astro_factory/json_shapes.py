"""The JSON files and `--json` outputs that have a documented layout, by name, for the reference.

json_schema("report.json")["properties"]["arms"]["description"]
"""

from importlib import import_module
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaValue

_OUTPUT = "astro_factory.cli.json_output"
JSON_SHAPES = {
    "report.json": "astro_factory.evaluation.report_schema:Report",
    "analysis.json": "astro_factory.evaluation.report_schema:Analysis",
        "check --json": f"{_OUTPUT}:CheckOutput",
    "plan --json": f"{_OUTPUT}:PlanOutput",
    "explain --json": f"{_OUTPUT}:ExplainOutput",
    "lock --json": f"{_OUTPUT}:LockOutput",
    "build --json": f"{_OUTPUT}:BuildOutput",
    "sweep --json": f"{_OUTPUT}:SweepOutput",
    "show --json": f"{_OUTPUT}:ShowOutput",
    "show --log --json": f"{_OUTPUT}:ShowLogOutput",
    "show --tree --json": f"{_OUTPUT}:ShowTreeOutput",
    "replay --json": f"{_OUTPUT}:ReplayOutput",
    "verify --json": f"{_OUTPUT}:VerifyOutput",
    "samples --json": f"{_OUTPUT}:SamplesOutput",
    "harness --json": f"{_OUTPUT}:HarnessOutput",
    "pull --json": f"{_OUTPUT}:PullOutput",
    "push --json": f"{_OUTPUT}:PushOutput",
    "import --json": f"{_OUTPUT}:ImportOutput",
    "gc --json": f"{_OUTPUT}:GcOutput",
    "fsck --json": f"{_OUTPUT}:FsckOutput",
    "doctor --json": f"{_OUTPUT}:DoctorOutput",
}
"""Name to a Pydantic model or a TypedDict, as `module:attribute`."""


def json_shape(name: str) -> TypeAdapter[Any]:
    """Validates JSON of one shape."""
    module, _, attribute = JSON_SHAPES[name].partition(":")
    return TypeAdapter(getattr(import_module(module), attribute))


def json_schema(name: str) -> JsonSchemaValue:
    """The JSON Schema of one shape, with the documentation of each field as its description."""
    return json_shape(name).json_schema()
