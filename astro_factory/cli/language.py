"""`check`, `schema`, `explain-error`: the language of specs and its errors."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from astro_factory.cli.code_lines import code_as_json, print_code
from astro_factory.cli.options import JsonOption, ProfileOption, SetOption, SpecArgument, print_json, read_graph
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.graph import Graph

_SPEC = re.compile(rb"^factory:", re.MULTILINE)


def check(
    spec: SpecArgument,
    sets: SetOption = None,
    profile: ProfileOption = None,
    data: Annotated[
        bool, typer.Option("--data", help="Also read every row of local problem files with its verifier.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Also import the Python code that the spec names, and make its verifiers.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a spec, its templates, its sweeps and the first rows of its files, and report all errors at once. A folder
    stands for all specs in it."""
    check_one = partial(_checked, sets=sets, profile=profile, data=data, trust=trust, quiet=as_json)
    if spec.is_dir():
        _check_folder(spec, check_one, as_json)
        return
    graph = check_one(spec)
    warnings = _warnings(graph)
    if as_json:
        found = [warning.as_json() for warning in warnings]
        print_json(
            {
                "ok": True,
                "nodes": len(graph.nodes),
                "errors": [],
                "warnings": found,
                "code": code_as_json(graph, graph.nodes),
            }
        )
        return
    for warning in warnings:
        print(warning)
    print_code(graph, graph.nodes)
    count = f", {len(warnings)} warning{'s' * (len(warnings) != 1)}" if warnings else ""
    print(f"{spec}: {len(graph.nodes)} stages, no errors{count}")


def _warnings(graph: Graph) -> list[Diagnostic]:
    """Of the compiler, of what is not here, and of suites that models may have seen."""
    from astro_factory.plan.contamination import contamination
    from astro_factory.plan.packages import missing_packages
    from astro_factory.plan.preflight import unreachable_cluster

    wanted = graph.wanted()
    needed = [node for name, node in graph.nodes.items() if name in wanted]
    not_here = [*missing_packages(needed, "W107"), *unreachable_cluster(needed, "W112")]
    return [*graph.warnings, *not_here, *contamination(graph)]


def _checked(spec: Path, sets: list[str] | None, profile: str | None, data: bool, trust: bool, quiet: bool) -> Graph:
    """The spec, compiled with each of its sweeps; with `trust` its code is loaded, with `data` its files are read."""
    from astro_factory.plan.adapter_modules import adapter_faults

    graph = read_graph(spec, sets, profile)
    found = adapter_faults(graph, graph.nodes)
    for sweep in graph.sweeps:
        variants = read_graph(spec, sets, profile, sweep)
        found += [fault for fault in adapter_faults(variants, variants.nodes) if fault not in found]
    if found:
        raise UserError(*found)
    if trust:
        from astro_factory.plan.code_access import load_code

        load_code(graph)
    if data:
        from astro_factory.cli.data_check import check_data

        check_data(graph, trust=trust, quiet=quiet)
    return graph


def _check_folder(folder: Path, check_one: Callable[[Path], Graph], as_json: bool) -> None:
    """Check the specs of a folder; files that specs include are checked through them."""
    specs = [path for path in sorted(folder.rglob("*.yaml")) if _SPEC.search(path.read_bytes())]
    if not specs:
        raise UserError.of("E101", f"there is no spec in '{folder}'", "name a YAML file that starts with `factory: 1`")
    errors, nodes = [], 0
    for path in specs:
        try:
            graph = check_one(path)
        except UserError as error:
            errors += error.diagnostics
            continue
        nodes += len(graph.nodes)
        if not as_json:
            print_code(graph, graph.nodes)
            print(f"{path}: {len(graph.nodes)} stages, no errors")
    if errors:
        raise UserError(*errors)
    if as_json:
        print_json({"ok": True, "nodes": nodes, "errors": [], "warnings": []})


def schema() -> None:
    """Print the JSON Schema of specs, for editors and other programs."""
    from astro_factory.spec.schema import schema_text

    print(schema_text(), end="")


def explain_error(
    code: Annotated[
        str, typer.Argument(metavar="CODE", help="A code from a message, such as E104.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Explain the code of an error or warning, with an example."""
    from astro_factory.core.error_catalogue import explain

    text = explain(code)
    if as_json:
        print_json({"code": code.upper(), "text": text})
    else:
        print(text)


COMMANDS = (check, schema, explain_error)
