"""The JSON files and `--json` outputs that have a documented layout, by name, for the reference.

json_schema("report.json")["properties"]["arms"]["description"]
"""

from importlib import import_module
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaValue

_BUILDING = "astro_factory.cli.json_output"
_INSPECTING = "astro_factory.cli.json_output_inspecting"
_SHARING = "astro_factory.cli.json_output_sharing"
JSON_SHAPES = {
    "report.json": "astro_factory.evaluation.report_schema:Report",
    "analysis.json": "astro_factory.evaluation.report_schema:Analysis",
    "init --json": f"{_SHARING}:InitOutput",
    "explain-error --json": f"{_INSPECTING}:ExplainErrorOutput",
    "stages --json": f"{_INSPECTING}:ListOutput",
    "templates --json": f"{_INSPECTING}:ListOutput",
    "presets --json": f"{_INSPECTING}:ListOutput",
    "check --json": f"{_BUILDING}:CheckOutput",
    "plan --json": f"{_BUILDING}:PlanOutput",
    "probe --json": "astro_factory.cli.json_output_estimates:ProbeOutput",
    "explain --json": f"{_BUILDING}:ExplainOutput",
    "diff --json": f"{_INSPECTING}:DiffOutput",
    "lock --json": "astro_factory.cli.json_output_locking:LockOutput",
    "build --json": f"{_BUILDING}:BuildOutput",
    "launch --json": f"{_BUILDING}:LaunchOutput",
    "watch --json": "astro_factory.cli.json_output_watching:WatchOutput",
    "sweep --json": f"{_BUILDING}:SweepOutput",
    "show --json": f"{_INSPECTING}:ShowOutput",
    "show --log --json": f"{_INSPECTING}:ShowLogOutput",
    "show --tree --json": f"{_INSPECTING}:ShowTreeOutput",
    "show --filter --json": f"{_INSPECTING}:ShowRowsOutput",
    "show --problem --json": f"{_INSPECTING}:ShowProblemOutput",
    "show --sample --json": f"{_INSPECTING}:ShowSampleOutput",
    "preview --json": f"{_INSPECTING}:PreviewOutput",
    "report --json": f"{_INSPECTING}:ReportOutput",
    "replay --json": f"{_INSPECTING}:ReplayOutput",
    "verify --json": f"{_INSPECTING}:VerifyOutput",
    "samples --json": f"{_INSPECTING}:SamplesOutput",
    "harness --json": f"{_INSPECTING}:HarnessOutput",
    "pull --json": f"{_SHARING}:PullOutput",
    "withdraw --json": f"{_SHARING}:WithdrawOutput",
    "push --json": f"{_SHARING}:PushOutput",
    "export --json": f"{_SHARING}:ExportOutput",
    "export-training --json": f"{_SHARING}:ExportTrainingOutput",
    "import --json": f"{_SHARING}:ImportOutput",
    "gc --json": f"{_SHARING}:GcOutput",
    "fsck --json": f"{_SHARING}:FsckOutput",
    "doctor --json": f"{_INSPECTING}:DoctorOutput",
}
"""Name to a Pydantic model or a TypedDict, as `module:attribute`."""


def json_shape(name: str) -> TypeAdapter[Any]:
    """Validates JSON of one shape."""
    module, _, attribute = JSON_SHAPES[name].partition(":")
    return TypeAdapter(getattr(import_module(module), attribute))


def json_schema(name: str) -> JsonSchemaValue:
    """The JSON Schema of one shape, with the documentation of each field as its description."""
    return json_shape(name).json_schema()
