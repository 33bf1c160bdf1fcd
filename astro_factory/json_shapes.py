"""The JSON files and `--json` outputs that have a documented layout, by name, for the reference.

json_schema("report.json")["properties"]["arms"]["description"]
"""

from importlib import import_module

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaValue

JSON_SHAPES = {
    "report.json": "astro_factory.evaluation.report_schema:Report",
    "analysis.json": "astro_factory.evaluation.report_schema:Analysis",
    "harness --json, `arms`": "astro_factory.evaluation.harness:ArmComparison",
    "sweep.json, `rows`": "astro_factory.evaluation.variants:VariantRow",
}
"""What holds the JSON to the type that describes it, a Pydantic model or a TypedDict."""


def json_schema(name: str) -> JsonSchemaValue:
    """The JSON Schema of one shape, with the documentation of each field as its description."""
    module, _, attribute = JSON_SHAPES[name].partition(":")
    shape = getattr(import_module(module), attribute)
    return TypeAdapter(shape).json_schema()
