"""`check`, `schema`, `explain-error`: the language of specs and its errors."""

from typing import Annotated

import typer

from astro_factory.cli.options import JsonOption, ProfileOption, SetOption, SpecArgument, print_json, read_graph


def check(
    spec: SpecArgument,
    sets: SetOption = None,
    profile: ProfileOption = None,
    data: Annotated[
        bool, typer.Option("--data", help="Also read every row of local problem files with its verifier.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a spec, its templates, its sweeps and the first rows of its files, and report all errors at once."""
    graph = read_graph(spec, sets, profile)
    for sweep in graph.sweeps:
        read_graph(spec, sets, profile, sweep)
    if data:
        from astro_factory.cli.data_check import check_data

        check_data(graph, quiet=as_json)
    if as_json:
        found = [warning.as_json() for warning in graph.warnings]
        print_json({"ok": True, "nodes": len(graph.nodes), "errors": [], "warnings": found})
        return
    for warning in graph.warnings:
        print(warning)
    warnings = f", {len(graph.warnings)} warnings" if graph.warnings else ""
    print(f"{spec}: {len(graph.nodes)} stages, no errors{warnings}")


def schema() -> None:
    """Print the JSON Schema of specs, for editors and other programs."""
    from astro_factory.spec.schema import schema_text

    print(schema_text(), end="")


def explain_error(
    code: Annotated[
        str, typer.Argument(metavar="CODE", help="A code from a message, such as E104.", show_default=False)
    ],
) -> None:
    """Explain the code of an error or warning, with an example."""
    from astro_factory.core.error_catalogue import explain

    print(explain(code))


COMMANDS = (check, schema, explain_error)
