"""docs/reference/cli.md: every command with its arguments and options, from the program's own help."""

from collections.abc import Iterator
from typing import Any

import typer.main

from astro_factory.cli.main import GROUPS, make_app
from docs.markdown import table

_INTRODUCTION = """\
# Commands

`astro-factory COMMAND --help` prints the same. Every command that takes a spec accepts `--set` and `--profile`;
[Running](../guide/running.md#exit-codes) lists the exit codes, and [JSON](json.md) what `--json` prints.
"""


def cli_page() -> Iterator[str]:
    yield _INTRODUCTION
    program = typer.main.get_command(make_app())
    context = program.make_context("astro-factory", [], resilient_parsing=True)
    for name in (name for names in GROUPS.values() for name in names):
        command = program.get_command(context, name)
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        usage = " ".join(
            ["astro-factory", name, *(_metavar(p) for p in arguments), *(["[OPTIONS]"] if options else [])]
        )
        yield f"## {name}"
        yield f"```\n{usage}\n```"
        yield command.help
        rows = [(f"`{_metavar(p)}`", p.help or "") for p in arguments]
        rows += [(", ".join(f"`{form}`" for form in _option(p)), _help(p)) for p in options]
        if rows:
            yield table(("Argument or option", "Meaning"), rows)


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _option(option: Any) -> list[str]:
    """The option in its forms, each with the value that it takes."""
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    return [*(form + value for form in option.opts), *option.secondary_opts]


def _help(option: Any) -> str:
    default = f" [default: `{option.default}`]" if option.default not in (None, False, True) else ""
    return (option.help or "") + default
