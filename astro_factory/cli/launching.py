"""`launch`: run one stage on the nodes of a cluster."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astro_factory.cli.building import made
from astro_factory.cli.options import (
    JsonOption,
    ProfileOption,
    SetOption,
    StoreOption,
    command_line,
    not_built,
    open_store,
    print_json,
    read_target,
)
from astro_factory.cli.summary import print_summary
from astro_factory.core.errors import UserError
from astro_factory.core.graph import Graph
from astro_factory.core.plans import UNBUILT, Plan, ToRun
from astro_factory.plan import make_plan
from astro_factory.plan.locks import locked_commits
from astro_factory.plan.servers import server_commands
from astro_factory.runtime import BuildOptions
from astro_factory.runtime.resources import declared
from astro_factory.training.settings import TrainingConfig

if TYPE_CHECKING:
    from astro_factory.store import Store


def launch(
    target: Annotated[str, typer.Argument(metavar="SPEC:STAGE", help="A stage of a spec.", show_default=False)],
    head: Annotated[
        str | None,
        typer.Option(
            metavar="HOST[:PORT]",
            envvar="ASTRO_FACTORY_HEAD",
            help="Where the other nodes reach the first one.",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    node: Annotated[
        int | None,
        typer.Option(
            min=0,
            envvar="SLURM_NODEID",
            help="Number of this node; 0 is the head, which runs the build.",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="Print a Slurm script that starts it on all nodes.")] = False,
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run one stage whose inputs are built, on one or several nodes: run this command on each.

    The nodes need the same environment and a store that they share. If one fails, all end with its error. After SIGTERM
    they save a checkpoint and end with code 130; the same command on all nodes resumes from the last checkpoint.
    """
    spec, graph, stage = read_target(target, sets, profile)
    config = graph.nodes[stage].config
    nodes = 1
    if isinstance(config, TrainingConfig) and config.launch.backend == "local":  # Ray starts its nodes itself
        nodes = config.launch.nodes
    if slurm:
        options = [f"--{name}={value}" for name, value in (("store", store), ("profile", profile)) if value]
        options += [f"--set={text}" for text in sets or []] + ["--json"] * as_json
        print(_script(graph, spec, stage, nodes, [target, *options]), end="")
        return
    place = open_store(store)
    planned = _ready(graph, spec, place, stage)
    if planned is None:
        _print(as_json, node=node or 0, text=f"'{stage}' is built already")
    elif nodes == 1:
        _build(graph, place, spec, stage, as_json)
    elif not isinstance(config, TrainingConfig) or head is None or node is None or node >= nodes:
        lacks = "its head" if head is None else "its number" if node is None else f"a number below {nodes}"
        cause = f"'{stage}' runs on {nodes} nodes, and this one does not have {lacks}"
        remedy = f"give each node --node, from 0 to {nodes - 1}, and --head with the host name of node 0"
        raise UserError.of("E547", cause, remedy)
    elif node == 0:
        _lead(graph, place, spec, stage, head, as_json)
    else:
        _join(config, place.staging(planned.key), head, node, as_json)


def _ready(graph: Graph, spec: Path, place: "Store", stage: str) -> ToRun | None:
    """The stage, which can run at once; None if it has run. Raises `UserError` E152 if it lacks an input."""
    plan: Plan = make_plan(graph, place, targets=[stage], commits=locked_commits(graph))
    for name, item in plan.nodes.items():
        if name != stage and item.status in UNBUILT:
            raise not_built(name, spec, place, item)
    item = plan.nodes[stage]
    return item if isinstance(item, ToRun) else None


def _lead(graph: Graph, place: "Store", spec: Path, stage: str, head: str, as_json: bool) -> None:
    """Build the stage as the head of the other nodes, and tell them how it ended."""
    from astro_factory.training.nodes import HEAD_HOST, HUB_PORT, Hub, parse_address

    address = parse_address(head)
    hub = Hub(address.port)
    os.environ |= {HUB_PORT: str(hub.port), HEAD_HOST: address.host}
    status, text = "interrupted", "the head was interrupted"
    try:
        _build(graph, place, spec, stage, as_json)
        status, text = "ok", ""
    except typer.Exit:
        status, text = "failed", f"'{stage}' failed; the head prints the error"
        raise
    except Exception as error:
        status, text = "failed", f"the head: {error}"
        raise
    finally:
        hub.close(status, text)


def _build(graph: Graph, place: "Store", spec: Path, stage: str, as_json: bool) -> None:
    found = made(graph, place, BuildOptions(), targets=[stage], quiet=as_json)
    if as_json:
        _print(as_json, status="ok" if found["ok"] else "failed", build=found)
    else:
        print_summary(found, spec)
    if not found["ok"]:
        raise typer.Exit(1)


def _print(as_json: bool, *, node: int = 0, status: str = "ok", text: str = "", build: dict | None = None) -> None:
    """Print how the launch ended on this node."""
    if as_json:
        print_json({"ok": status == "ok", "node": node, "status": status, "text": text, "build": build})
    elif text:
        print(text)


def _join(config: TrainingConfig, staging: Path, head: str, node: int, as_json: bool) -> None:
    from astro_factory.training.joining import take_part
    from astro_factory.training.nodes import parse_address

    def show(text: str) -> None:
        print(f"node {node} {text}", file=sys.stderr, flush=True)

    end = take_part(config, parse_address(head), node, staging, show)
    if as_json:
        _print(as_json, node=node, status=end.status, text=end.text)
    elif end.text:
        show(f"ends: {end.text}")
    if end.status == "ok":
        return
    if end.status == "interrupted":
        raise KeyboardInterrupt
    raise typer.Exit(1)


def _script(graph: Graph, spec: Path, stage: str, nodes: int, arguments: list[str]) -> str:
    from astro_factory.training.slurm import slurm_script

    needs, config = declared(graph.nodes[stage]), graph.nodes[stage].config
    servers = server_commands(graph, [stage], lambda name: command_line("show", f"{spec}:{name}", "--path"))
    return slurm_script(
        f"{graph.name}-{stage}",
        arguments,
        nodes=nodes,
        gpus=int(needs.gpus),
        cores=int(needs.cores),
        grace_s=config.grace_s,
        folder=Path.cwd(),
        servers=servers.get(stage, ()),
    )


COMMANDS = (launch,)
