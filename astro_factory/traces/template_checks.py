"""Finding everything that is wrong with a template before anything runs: first by reading it, then by a dry render."""

from collections.abc import Iterator
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
from astro_factory.traces.template_renderer import REFLECTION, TemplateForm, TemplateRenderer, at, diagnose
from astro_factory.traces.trace_filters import states_answer

_ATTRIBUTES = {
    "problem": [field.name for field in fields(Problem)],
    "node": [field.name for field in fields(TreeNode)],
    "target": [field.name for field in fields(TreeNode)],
}
_JINJA_NAMES = {"self", "super", "loop", "caller", "varargs", "kwargs"}
_REFERENCES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


def check_template(source: TemplateSource, form: str = "reflection") -> list[Diagnostic]:
    """All that is wrong with a template; places name files as `source` does (below `templates/`).

    `form` is `reflection`, or who asks by a prompt (`prompting.FORMS`).
    """
    sandbox, trees, found = Sandbox(source.sources), {}, []
    for name, text in source.sources.items():
        try:
            trees[name] = sandbox.parse(text, name)
        except TemplateSyntaxError as error:
            found.append(diagnose(error, source, {}))
    speech = REFLECTION if form == "reflection" else prompt_form(trees.values(), form)
    speaking = inheritance_chain(source.entry, trees)
    for name, tree in trees.items():
        for line, code, cause, remedy, word in _findings(sandbox, tree, trees, speech, name in speaking):
            found.append(at(source, name, line, code, cause, remedy, word))
    return found or (_dry_render(source) if form == "reflection" else check_messages(source, form))


def references(tree: nodes.Template) -> Iterator[tuple[int, list[str] | None, bool]]:
    """Of every include, import and extends: line, the names it may load (None: an expression), whether it must."""
    for node in tree.find_all(_REFERENCES):
        items = node.template.items if isinstance(node.template, nodes.List | nodes.Tuple) else [node.template]
        constant = all(isinstance(item, nodes.Const) and isinstance(item.value, str) for item in items)
        must = not getattr(node, "ignore_missing", False)
        yield node.lineno, [item.value for item in items] if constant else None, must


_Finding = tuple[int, str, str, str, str]


def _findings(
    sandbox: Sandbox, tree: nodes.Template, trees: dict[str, nodes.Template], speech: TemplateForm, speaks: bool
) -> Iterator[_Finding]:
    """Line, code, cause, remedy and the word to point at. `speaks`: whether this file's blocks are the template's."""
    for line, names, _ in references(tree):
        if names is None:
            yield line, error_codes.DYNAMIC, "a template is named by an expression", "name it by a plain text", ""
    for node in tree.find_all(nodes.Extends):
        if node not in tree.body:
            yield (
                node.lineno,
                error_codes.DYNAMIC,
                "a template extends another on a condition",
                "extend it always",
                "extends",
            )
    for node in tree.find_all(nodes.Filter):
        if node.name not in sandbox.filters:
            remedy = "use pick([...]), which the trace's seed decides" if node.name == "random" else ""
            remedy = remedy or near(node.name, sandbox.filters)
            yield node.lineno, error_codes.FILTER, f"no filter '{node.name}'", remedy, node.name
    for node in tree.find_all(nodes.Test):
        if node.name not in sandbox.tests:
            yield node.lineno, error_codes.TEST, f"no test '{node.name}'", near(node.name, sandbox.tests), node.name
    set_somewhere = set().union(*map(_names_set, trees.values()))
    known = {*speech.variables, *sandbox.globals} | set_somewhere
    lines = {node.name: node.lineno for node in tree.find_all(nodes.Name)}
    for name in sorted(lines.keys() - known - _JINJA_NAMES):
        yield lines[name], error_codes.VARIABLE, f"'{name}' is not defined", near(name, known), name
    for node in tree.find_all(nodes.Getattr):
        choices = _ATTRIBUTES.get(node.node.name) if isinstance(node.node, nodes.Name) else None
        if choices and node.node.name not in set_somewhere and node.attr not in choices:
            cause = f"'{node.node.name}' has no attribute '{node.attr}'"
            yield node.lineno, error_codes.ATTRIBUTE, cause, near(node.attr, choices), node.attr
    if speaks:
        inner = {block.name for other in trees.values() for block in _inner_blocks(other)}
        yield from _misplaced(tree, inner, speech)


def _names_set(tree: nodes.Template) -> set[str]:
    """Every name a file gives a meaning to: variables, arguments, macros, imports."""
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    names |= {node.name for node in tree.find_all(nodes.Macro)} | {node.target for node in tree.find_all(nodes.Import)}
    for node in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in node.names}
    return names


def _misplaced(tree: nodes.Template, inner: set[str], speech: TemplateForm) -> Iterator[_Finding]:
    """Blocks of no known name and text outside blocks. A name that some block holds inside may be filled anew."""
    for node in _top(tree):
        if isinstance(node, nodes.Block) and node.name not in inner and node.name not in speech.blocks:
            cause, remedy = f"{speech.unknown} '{node.name}'", near(node.name, speech.blocks)
            yield node.lineno, error_codes.BLOCK, cause, remedy, node.name
        elif isinstance(node, nodes.TemplateData) and node.data.strip():
            line = node.lineno + node.data[: len(node.data) - len(node.data.lstrip())].count("\n")
            word = node.data.split()[0]
            remedy = f"put it into one of the blocks {', '.join(speech.blocks)}"
            yield line, error_codes.OUTSIDE_BLOCK, "text outside a block is never said", remedy, word


def _top(node: nodes.Node) -> Iterator[nodes.Node]:
    """The nodes of a file that stand in no block and no macro."""
    for child in node.iter_child_nodes():
        yield child
        if not isinstance(child, nodes.Block | nodes.Macro | nodes.CallBlock | nodes.AssignBlock):
            yield from _top(child)


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
    remedy = "let the block 'answer' say {{ node.closing }}, the line by which the verifier knows it"
    return [at(source, name, line, error_codes.NO_ANSWER, "the trace ends without its answer", remedy, "answer")]


def _blocks(source: TemplateSource, block: str) -> Iterator[tuple[str, int]]:
    """File and line of each block of that name, those of the entry first."""
    sandbox = Sandbox(source.sources)
    for name in sorted(source.sources, key=lambda name: name != source.entry):
        for node in sandbox.parse(source.sources[name], name).find_all(nodes.Block):
            if node.name == block:
                yield name, node.lineno
