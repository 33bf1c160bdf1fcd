"""Names the code that a spec executes, for `check` and `plan`: a line for each, and as JSON."""

from collections.abc import Collection

from astro_factory.core.graph import Graph


def code_as_json(graph: Graph, names: Collection[str]) -> list[dict[str, object]]:
    """The code behind some nodes, as `CodeOutput` describes it."""
    return [
        {
            "role": code.role,
            "target": code.target,
            "file": code.file or None,
            "publication": code.publication or None,
        }
        for code in graph.code_behind(names)
    ]


def print_code(graph: Graph, names: Collection[str]) -> None:
    """A line for each piece of code behind some nodes."""
    for code in graph.code_behind(names):
        where = f" in {code.file}" if code.file else ", which is not here"
        owner = f", code of the publication in '{code.publication}': needs --trust" if code.publication else ""
        print(f"runs the {code.role} {code.target}{where}{owner}")
