"""Which variables a template's blocks can depend on, read from its source, so that equal texts are rendered once."""

from collections.abc import Mapping, Sequence

from jinja2 import nodes

from astro_factory.traces.sandbox import Sandbox
from astro_factory.traces.template_limits import descendants

_OTHER_CODE = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Block)
"""Nodes that run code outside their block."""


def inheritance_chain(entry: str, trees: Mapping[str, nodes.Template]) -> list[str]:
    """The names of the entry and of the templates it extends."""
    names: list[str] = []
    name = entry
    while name in trees and name not in names:
        names.append(name)
        extended = trees[name].find(nodes.Extends)
        if extended is None or not isinstance(extended.template, nodes.Const):
            break
        name = extended.template.value
    return names


class TemplateDependencies:
    """The variables that each block can read; errs on the side of too many."""

    def __init__(
        self, sandbox: Sandbox, entry: str, sources: Mapping[str, str], defaults: str, variables: Sequence[str]
    ):
        """`defaults` is the source of the default blocks."""
        trees = {name: sandbox.parse(text, name) for name, text in sources.items()}
        self._files = [*(trees[name] for name in inheritance_chain(entry, trees)), sandbox.parse(defaults)]
        self._variables = frozenset(variables)
        self._all_read = frozenset[str]().union(*map(self._read_in, [*trees.values(), self._files[-1]]))

    def of(self, names: Sequence[str]) -> tuple[str, ...]:
        """The variables that any of these blocks can read."""
        return tuple(sorted(frozenset[str]().union(*map(self._read_by_block, names))))

    def constant_text(self, name: str) -> str | None:
        """The text of a block without expressions; None for others."""
        parts = [node for part in self._block(name).body for node in descendants(part)]
        if not all(isinstance(node, nodes.Output | nodes.TemplateData) for node in parts):
            return None
        return "".join(node.data for node in parts if isinstance(node, nodes.TemplateData)).strip()

    def is_default(self, name: str) -> bool:
        """Whether no file of the template defines the block."""
        return not any(block.name == name for file in self._files[:-1] for block in file.find_all(nodes.Block))

    def _block(self, name: str) -> nodes.Block:
        return next(block for file in self._files for block in file.find_all(nodes.Block) if block.name == name)

    def _read_by_block(self, name: str) -> frozenset[str]:
        block = self._block(name)
        inside = [node for part in block.body for node in descendants(part)]
        names = {node.name for node in inside if isinstance(node, nodes.Name)}
        set_inside = {node.name for node in inside if isinstance(node, nodes.Name) and node.ctx != "load"}
        if names - self._variables - set_inside - {"loop"} or any(isinstance(node, _OTHER_CODE) for node in inside):
            return self._all_read
        return self._read_in(block)

    def _read_in(self, tree: nodes.Node) -> frozenset[str]:
        return self._variables.intersection(node.name for node in tree.find_all(nodes.Name) if node.ctx == "load")
