"""Finds everything that is wrong with a template before anything runs: by reading it, then by a dry render."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from jinja2 import TemplateSyntaxError, nodes

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, UserError, near
from astro_factory.core.problems import Problem
from astro_factory.core.trees import TreeNode
from astro_factory.traces import error_codes
from astro_factory.traces.prompt_templates import check_messages, prompt_form
from astro_factory.traces.render import render
from astro_factory.traces.sample_tree import SEQUENCE, sample_tree
from astro_factory.traces.sandbox import Sandbox
from astro_factory.traces.template_dependencies import inheritance_chain
from astro_factory.traces.template_errors import diagnose, diagnostic_at
from astro_factory.traces.template_renderer import REFLECTION, TemplateForm, TemplateRenderer
from astro_factory.traces.trace_filters import states_answer

_ATTRIBUTES = {
    "problem": [field.name for field in fields(Problem)],
    "node": [field.name for field in fields(TreeNode)],
    "target": [field.name for field in fields(TreeNode)],
}
_JINJA_NAMES = {"self", "super", "loop", "caller", "varargs", "kwargs"}
_REFERENCES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


def check_template(source: TemplateSource, form: str = "reflection") -> list[Diagnostic]:
    """Everything that is wrong with a template; places name files as `source` does (below `templates/`).

    `form` is `reflection` or a key of `prompt_templates.PROMPT_VARIABLES`.
    """
    sandbox, found = Sandbox(source.sources), []
    trees: dict[str, nodes.Template] = {}
    for name, text in source.sources.items():
        try:
            trees[name] = sandbox.parse(text, name)
        except TemplateSyntaxError as error:
            found.append(diagnose(error, source, {}))
    template_form = REFLECTION if form == "reflection" else prompt_form(trees.values(), form)
    rendered = inheritance_chain(source.entry, trees)
    for name, tree in trees.items():
        for line, code, cause, remedy, word in _findings(sandbox, tree, trees, template_form, name in rendered):
            found.append(diagnostic_at(source, name, line, code, cause, remedy, word))
    return found or (_dry_render(source) if form == "reflection" else check_messages(source, form))


def references(tree: nodes.Template) -> Iterator[tuple[int, list[str] | None, bool]]:
    """Every include, import and extends: line, the names it may load (None: an expression), whether one must exist."""
    for node in tree.find_all(_REFERENCES):
        template = node.template
        items = template.items if isinstance(template, nodes.List | nodes.Tuple) else [template]
        names = [item.value for item in items if isinstance(item, nodes.Const) and isinstance(item.value, str)]
        required = not getattr(node, "ignore_missing", False)
        yield node.lineno, names if len(names) == len(items) else None, required


_Finding = tuple[int, str, str, str, str]
"""Line, code, cause, remedy, and the word to mark in the line."""


def _findings(
    sandbox: Sandbox, tree: nodes.Template, trees: Mapping[str, nodes.Template], form: TemplateForm, rendered: bool
) -> Iterator[_Finding]:
    """What is wrong with one file. `rendered`: whether its blocks are blocks of the template."""
    for line, names, _ in references(tree):
        if names is None:
            yield line, error_codes.DYNAMIC, "a template is named by an expression", "name it by a plain string", ""
    for node in tree.find_all(nodes.Extends):
        if node not in tree.body:
            cause = "a template extends another one on a condition"
            yield node.lineno, error_codes.DYNAMIC, cause, "extend it unconditionally", "extends"
    yield from _unknown_functions(sandbox, tree)
    assigned = set[str]().union(*map(_assigned_names, trees.values()))
    known = {*form.variables, *sandbox.globals} | assigned
    lines = {node.name: node.lineno for node in tree.find_all(nodes.Name)}
    for name in sorted(lines.keys() - known - _JINJA_NAMES):
        yield lines[name], error_codes.VARIABLE, f"'{name}' is not defined", near(name, known), name
    for node in tree.find_all(nodes.Getattr):
        owner = node.node.name if isinstance(node.node, nodes.Name) else ""
        choices = _ATTRIBUTES.get(owner)
        if choices and owner not in assigned and node.attr not in choices:
            cause = f"'{owner}' has no attribute '{node.attr}'"
            yield node.lineno, error_codes.ATTRIBUTE, cause, near(node.attr, choices), node.attr
    if rendered:
        inner = {block.name for other in trees.values() for block in _inner_blocks(other)}
        yield from _misplaced(tree, inner, form)


def _unknown_functions(sandbox: Sandbox, tree: nodes.Template) -> Iterator[_Finding]:
    filters = [name for name in sandbox.filters if name.isidentifier()]
    for node in tree.find_all(nodes.Filter):
        if node.name not in sandbox.filters:
            remedy = near(node.name, filters)
            if node.name == "random":
                remedy = "use pick([...]), which the trace's seed decides"
            yield node.lineno, error_codes.FILTER, f"no filter '{node.name}'", remedy, node.name
    for node in tree.find_all(nodes.Test):
        if node.name not in sandbox.tests:
            yield node.lineno, error_codes.TEST, f"no test '{node.name}'", near(node.name, sandbox.tests), node.name


def _assigned_names(tree: nodes.Template) -> set[str]:
    """Every name that a file defines: variables, arguments, macros, imports."""
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    names |= {node.name for node in tree.find_all(nodes.Macro)} | {node.target for node in tree.find_all(nodes.Import)}
    for node in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in node.names}
    return names


def _misplaced(tree: nodes.Template, inner: set[str], form: TemplateForm) -> Iterator[_Finding]:
    """Blocks with unknown names and text outside blocks. A block that another one contains may be overridden."""
    for node in _top_level(tree):
        if isinstance(node, nodes.Block) and node.name not in inner and node.name not in form.blocks:
            cause, remedy = f"{form.unknown_block} '{node.name}'", near(node.name, form.blocks)
            yield node.lineno, error_codes.BLOCK, cause, remedy, node.name
        elif isinstance(node, nodes.TemplateData) and node.data.strip():
            line = node.lineno + node.data[: len(node.data) - len(node.data.lstrip())].count("\n")
            remedy = f"move it into one of the blocks {', '.join(form.blocks)}"
            cause, word = "text outside a block is never rendered", node.data.split()[0]
            yield line, error_codes.OUTSIDE_BLOCK, cause, remedy, word


def _top_level(node: nodes.Node) -> Iterator[nodes.Node]:
    """The nodes of a file that are in no block and no macro."""
    for child in node.iter_child_nodes():
        yield child
        if not isinstance(child, nodes.Block | nodes.Macro | nodes.CallBlock | nodes.AssignBlock):
            yield from _top_level(child)


def _inner_blocks(tree: nodes.Template) -> Iterator[nodes.Block]:
    for block in tree.find_all(nodes.Block):
        yield from block.find_all(nodes.Block)


def _dry_render(source: TemplateSource) -> list[Diagnostic]:
    tree = sample_tree()
    try:
        segments = render(tree, SEQUENCE, TemplateRenderer(source), seed=0)
    except UserError as error:
        return error.diagnostics
    if states_answer(tree, SEQUENCE[-1], segments):
        return []
    name, line = next(_blocks(source, "answer"), (source.entry, 1))
    cause = "the trace ends without its answer"
    remedy = "print {{ node.closing }}, the line that the verifier reads, in the block 'answer'"
    return [diagnostic_at(source, name, line, error_codes.NO_ANSWER, cause, remedy, "answer")]


def _blocks(source: TemplateSource, block: str) -> Iterator[tuple[str, int]]:
    """File and line of each block with this name, those of the entry first."""
    sandbox = Sandbox(source.sources)
    for name in sorted(source.sources, key=lambda name: name != source.entry):
        for node in sandbox.parse(source.sources[name], name).find_all(nodes.Block):
            if node.name == block:
                yield name, node.lineno
