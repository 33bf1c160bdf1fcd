"""`replay`, and how one search tree looks in the terminal."""

from pathlib import Path
from typing import Annotated, Any

import typer

from astro_factory.cli.options import (
    JsonOption,
    ProfileOption,
    SetOption,
    StoreOption,
    built_results,
    open_store,
    print_json,
    read_target,
)
from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.errors import UserError
from astro_factory.core.trees import Tree, TreeNode, read_trees, read_trees_with_calls

_FILE = TABLE_FILES[ArtifactType.TREES]
_STYLES = {"correct": "green", "incorrect": "red"}


def replay(
    target: Annotated[str, typer.Argument(metavar="SPEC:STAGE", help="A built search stage.", show_default=False)],
    store: StoreOption = None,
    sets: SetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rebuild search trees from their stored model calls, without a model, and compare."""
    spec, graph, stage = read_target(target, sets, profile)
    from astro_factory.stages.search import Config

    kind, config = graph.nodes[stage].kind, graph.nodes[stage].config
    if not isinstance(config, Config):
        raise UserError.of("E158", f"'{stage}' is of kind {kind} and has no trees", "name a search stage")
    place = open_store(store)
    results = built_results(graph, spec, place, stage, [config.model])
    from astro_factory.search.replay import Replay

    longest = getattr(config.engine, "max_model_len", None)
    replayed = Replay(place.output(results[config.model]), config.policy, config.seed, longest)
    holds = {
        tree.problem.id: replayed.reproduces(tree)
        for tree in read_trees_with_calls(place.output(results[stage]) / _FILE)
    }
    different = [name for name, equal in holds.items() if not equal]
    if as_json:
        print_json({"ok": not different, "trees": len(holds), "different": different})
    else:
        print(f"{len(holds) - len(different)} of {len(holds)} trees are reproduced by their stored calls")
        for name in different:
            print(f"  different: {name}")
    if different:
        raise typer.Exit(1)


def print_tree(folder: Path, problem: str, as_json: bool) -> None:
    """One tree of a search stage's output. Raises `UserError` E158, E157."""
    path = folder / _FILE
    if not path.exists():
        raise UserError.of("E158", f"{folder} holds no trees", "name a search stage")
    tree = next((tree for tree in read_trees(path) if tree.problem.id == problem), None)
    if tree is None:
        some = ", ".join(tree.problem.id for tree, _ in zip(read_trees(path), range(3), strict=False))
        raise UserError.of("E157", f"there is no tree of a problem '{problem}'", f"problems are named like {some}")
    if as_json:
        row = tree.as_row()
        print_json({name: row[name] for name in ("problem", "nodes", "tokens", "iterations")})
        return
    from rich.console import Console

    Console().print(drawn(tree))


def drawn(tree: Tree) -> Any:
    """The tree as `rich` draws it: visits N, value Q, prior P, and the verdict of an end."""
    from rich.text import Text
    from rich.tree import Tree as Drawing

    head = f"{tree.problem.question}\n{tree.iterations} iterations, {tree.tokens} tokens"
    drawings = [Drawing(Text(head))]
    for node in tree.nodes[1:]:
        drawings.append(drawings[node.parent].add(_label(node)))
    return drawings[0]


def _label(node: TreeNode) -> Any:
    from rich.text import Text

    label = Text(node.text)
    label.append(f"  N={node.visits} Q={node.value:.2f}{node.basis} P={node.prior:.2f}", style="dim")
    if node.terminal:
        answer = f" {node.answer}" if node.answer else ""
        label.append(f"  {node.verdict}{answer}", style=_STYLES.get(node.verdict, "yellow"))
    return label


COMMANDS = (replay,)
