"""Limits on a template's source, and the counters that compiled templates carry."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from jinja2 import TemplateSyntaxError, nodes
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

from astro_factory.traces.template_functions import MAX_NUMBER

MAX_FILES = 100
"""Most files of one template, with all that it includes, imports or extends."""
MAX_FILE_CHARS = 100_000
ENTER, COUNTED, LIMITED, CONCATENATE = "#enter", "#counted", "#limited", "#concatenate"
"""Names of the counters."""
_MAX_NODES = 5_000
_MAX_DEPTH = 60


class TemplateTooComplex(TemplateSyntaxError):
    """Valid Jinja that is larger or more deeply nested than any phrase needs."""


def check_limits(tree: nodes.Template, name: str | None) -> None:
    """Raises TemplateTooComplex for a parsed file that is too large or too deeply nested."""
    count = 0
    pending: list[tuple[int, int, nodes.Node]] = [(1, 1, tree)]  # no recursion: the tree can be deeper than the stack
    while pending:
        depth, line, node = pending.pop()
        count, line = count + 1, node.lineno or line
        if depth > _MAX_DEPTH:
            raise nested_too_deeply(line, name)
        if count > _MAX_NODES:
            raise TemplateTooComplex(f"the file has more than {_MAX_NODES:,} tags and expressions", line, name)
        if isinstance(node, nodes.Const) and isinstance(node.value, int | float) and not abs(node.value) <= MAX_NUMBER:
            raise TemplateTooComplex("a number is too large", line, name)
        pending += [(depth + 1, line, child) for child in node.iter_child_nodes()]


def nested_too_deeply(line: int, name: str | None) -> TemplateTooComplex:
    return TemplateTooComplex("tags or expressions are nested too deeply", line, name)


def parse_position(error: BaseException) -> int:
    """The line that Jinja's parser had reached when it failed; 1 if unknown."""
    line, traceback = 1, error.__traceback__
    while traceback is not None:
        parser = traceback.tb_frame.f_locals.get("self")
        if isinstance(parser, Parser):
            line = parser.stream.current.lineno
        traceback = traceback.tb_next
    return line


Body = TypeVar("Body", nodes.Template, nodes.Block, nodes.For, nodes.Macro, nodes.CallBlock)


class WorkCounters(NodeTransformer):
    """Adds calls of the sandbox's counters to a parsed template.

    They are filters whose names no template can write, because compiled code calls filters directly.
    """

    def visit_Template(self, node: nodes.Template) -> nodes.Template:
        return self._count_rounds(node)

    def visit_Block(self, node: nodes.Block) -> nodes.Block:
        return self._count_rounds(node)

    def visit_For(self, node: nodes.For) -> nodes.For:
        self._count_rounds(node)
        if node.test is not None:  # runs for every item, also for those that get no round
            work = nodes.Const(len(list(descendants(node.test))), lineno=node.lineno)
            node.test = nodes.And(nodes.Not(_call(ENTER, work, [nodes.Const(0)])), node.test, lineno=node.lineno)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:
        self.generic_visit(node)
        return _call(LIMITED, node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:
        return self._count_rounds(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.CallBlock:
        return self._count_rounds(node)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        self.generic_visit(node)
        node.expr = _counted(node.expr)
        for operand in node.ops:
            operand.expr = _counted(operand.expr)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        return _call(CONCATENATE, node.nodes[0], node.nodes[1:])

    def visit_List(self, node: nodes.List) -> nodes.Expr:
        self.generic_visit(node)
        return node if all(isinstance(item, nodes.Const) for item in node.items) else _call(LIMITED, node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        self.generic_visit(node)
        constant = node.ctx != "load" or all(isinstance(item, nodes.Const) for item in node.items)
        return node if constant else _call(LIMITED, node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:
        self.generic_visit(node)
        return _call(LIMITED, node)

    def _count_rounds(self, node: Body) -> Body:
        inside = [inner for part in node.body for inner in descendants(part)]
        chars = sum(len(inner.data) for inner in inside if isinstance(inner, nodes.TemplateData))
        self.generic_visit(node)
        counter = _call(ENTER, nodes.Const(len(inside), lineno=node.lineno), [nodes.Const(chars)])
        node.body.insert(0, nodes.ExprStmt(counter, lineno=node.lineno))
        return node


def descendants(node: nodes.Node) -> Iterator[nodes.Node]:
    """A node and everything in it."""
    yield node
    for child in node.iter_child_nodes():
        yield from descendants(child)


def _counted(operand: nodes.Expr) -> nodes.Expr:
    return operand if isinstance(operand, nodes.Const) else _call(COUNTED, operand)


def _call(counter: str, value: nodes.Expr, more: Sequence[nodes.Expr] = ()) -> nodes.Filter:
    return nodes.Filter(value, counter, list(more), [], None, None, lineno=value.lineno)
