"""What the blocks of a template can depend on, read from its source: equal sayings need be made only once."""

from collections.abc import Iterator, Mapping, Sequence

from jinja2 import nodes

from astro_factory.traces.sandbox import Sandbox

_ELSEWHERE = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Block)


def inheritance_chain(entry: str, trees: Mapping[str, nodes.Template]) -> list[str]:
    """The entry and what it extends."""
    names: list[str] = []
    name: str | None = entry
    while name in trees and name not in names:
        names.append(name)
        extended = trees[name].find(nodes.Extends)
        name = extended.template.value if extended and isinstance(extended.template, nodes.Const) else None
    return names


class TemplateDependencies:
    """Of each block: the variables that it can read. Too many rather than too few."""

    def __init__(
        self, sandbox: Sandbox, entry: str, sources: Mapping[str, str], defaults: str, variables: Sequence[str]
    ):
        """`defaults` is the source of the blocks that every template has."""
        trees = {name: sandbox.parse(text, name) for name, text in sources.items()}
        self._files = [*(trees[name] for name in inheritance_chain(entry, trees)), sandbox.parse(defaults)]
        self._variables = frozenset(variables)
        self._everything = frozenset().union(*map(self._of, [*trees.values(), self._files[-1]]))

    def of(self, names: Sequence[str]) -> tuple[str, ...]:
        """The variables that any of these blocks can read."""
        return tuple(sorted(frozenset().union(*map(self._of_block, names))))

    def fixed(self, name: str) -> str | None:
        """The text of a block that says the same always; None for others."""
        parts = [node for part in self._block(name).body for node in _all(part)]
        if not all(isinstance(node, nodes.Output | nodes.TemplateData) for node in parts):
            return None
        return "".join(node.data for node in parts if isinstance(node, nodes.TemplateData)).strip()

    def is_default(self, name: str) -> bool:
        """Whether the template leaves a block as it is everywhere."""
        return not any(block.name == name for file in self._files[:-1] for block in file.find_all(nodes.Block))

    def _block(self, name: str) -> nodes.Block:
        return next(block for file in self._files for block in file.find_all(nodes.Block) if block.name == name)

    def _of_block(self, name: str) -> frozenset[str]:
        block = self._block(name)
        inside = [node for part in block.body for node in _all(part)]
        set_here = {node.name for node in inside if isinstance(node, nodes.Name) and node.ctx != "load"}
        foreign = {node.name for node in inside if isinstance(node, nodes.Name)} - self._variables - set_here - {"loop"}
        if foreign or any(isinstance(node, _ELSEWHERE) for node in inside):
            return self._everything
        return self._of(block)

    def _of(self, tree: nodes.Node) -> frozenset[str]:
        return self._variables.intersection(node.name for node in tree.find_all(nodes.Name) if node.ctx == "load")


def _all(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _all(child)
