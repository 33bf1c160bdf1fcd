"""Renders the blocks of a template, one at a time, in a sandbox.

A reflection template is a Jinja file with a block for each thing a trace can say (`BLOCKS`). A block that it does not
define has a default, so a template contains only what it changes, and can extend another one:

    {% extends "reflection/paper.jinja" %}
    {% block wrong %}Hmm, {{ node.answer }} cannot be right.{% endblock %}

`sandbox` describes what templates can and cannot do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from jinja2 import TemplateError
from jinja2.runtime import Context

from astro_factory.core.canonical import seed_for
from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import UserError
from astro_factory.traces.sandbox import Sandbox
from astro_factory.traces.template_dependencies import TemplateDependencies
from astro_factory.traces.template_errors import diagnose
from astro_factory.traces.template_functions import MAX_CHARS, LimitExceeded

BLOCKS = {
    "reflect": "",
    "wrong": "",
    "backtrack": "",
    "restart": "{{ self.backtrack() }}",
    "right": "",
    "answer": "{{ node.closing }}",
}
"""The blocks of a reflection template with their defaults: at the end of a branch, before the verdict (`reflect`); the
verdict (`wrong`, `right`); where the trace goes back to (`backtrack`, or `restart` for the root); the line that states
the final answer (`answer`)."""
VARIABLES = ("problem", "node", "step", "target", "target_step", "attempt", "branch", "numbered", "pick")
"""Variables of the blocks; `target` and `target_step` only in `wrong`, `backtrack` and `restart`. Documented in
docs/reference/templates.md."""
MAX_ALTERNATIVES = 1000

Choose = Callable[[int], int]
"""Given the number of options, returns the index of the chosen one."""


@dataclass(frozen=True)
class TemplateForm:
    """The blocks and variables of one sort of template: reflection templates, or a kind of prompt."""

    blocks: Mapping[str, str]
    """Block names with their defaults."""
    variables: tuple[str, ...]
    max_chars: int = MAX_CHARS
    """Longest text of a block."""
    unknown_block: str = "reflection templates have no block"
    """Start of the error for any other block."""


REFLECTION = TemplateForm(BLOCKS, VARIABLES)


class TemplateRenderer:
    """Renders the blocks of one template. Not thread-safe: `pick` uses the chooser of the current call."""

    def __init__(self, source: TemplateSource, form: TemplateForm = REFLECTION):
        """Raises UserError if a file of the template is missing or not valid Jinja."""
        self.source, self.form = source, form
        defaults = "".join(f"{{% block {name} %}}{text}{{% endblock %}}" for name, text in form.blocks.items())
        self._sandbox = Sandbox(source.sources, form.max_chars)
        self._sandbox.globals["pick"] = self._pick
        self._choose: Choose = _choose_first
        self._blocks: dict[str, list[Any]] = {}
        self._defaults = self._sandbox.from_string(defaults).blocks
        try:
            self._template = self._sandbox.get_template(source.entry)
            dependencies = TemplateDependencies(self._sandbox, source.entry, source.sources, defaults, form.variables)
        except TemplateError as error:
            raise UserError(diagnose(error, source, {})) from error
        self._dependencies = dependencies
        constants = {name: dependencies.constant_text(name) for name in form.blocks}
        self._constants = {name: text for name, text in constants.items() if text is not None}
        self._answer_is_closing = "answer" in form.blocks and dependencies.is_default("answer")
        self._variables_of: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Variables that decide the text of blocks, by their names."""
        self._cache: dict[tuple[Any, ...], tuple[list[str], list[Any]]] = {}
        self._problem: Any = None
        """The problem that the cache is for."""

    def render_blocks(self, names: Sequence[str], variables: dict[str, Any], choose: Choose) -> list[str]:
        """The texts of the named blocks, without surrounding white space.

        Texts are cached per problem by the variables that the blocks can read, so nodes must not change between calls.

        Raises:
            UserError: rendering failed, with the place in the template.
        """
        names = tuple(names)
        reads = self._variables_of.get(names)
        if reads is None:
            reads = self._variables_of[names] = self._dependencies.of(names)
        if "pick" in reads or "branch" in reads:
            return self._render(names, variables, choose)
        if variables["problem"] is not self._problem:
            self._cache.clear()
            self._problem = variables["problem"]
        values = [variables.get(name) for name in reads]
        key = (names, *[value if type(value) is int else id(value) for value in values])
        cached = self._cache.get(key)
        if cached is None:
            # The values are kept too, so that no other node can get the id of one of them.
            cached = self._cache[key] = self._render(names, variables, choose), values
        return cached[0]

    def _render(self, names: Sequence[str], variables: dict[str, Any], choose: Choose) -> list[str]:
        """The texts, not cached; a context is created only if one of the blocks needs it."""
        self._choose = choose
        self._sandbox.start()
        context: Context | None = None
        texts: list[str] = []
        try:
            for name in names:
                text = self._constants.get(name)
                if text is None and name == "answer" and self._answer_is_closing:
                    text = variables["node"].closing.strip()
                if text is None:
                    context = self._context(variables) if context is None else context
                    text = _block_text(context, name, self.form.max_chars)
                texts.append(text)
        except Exception as error:  # template code can raise anything
            raise UserError(diagnose(error, self.source, variables)) from error
        return texts

    def alternatives(self, name: str, variables: dict[str, Any]) -> Iterator[str]:
        """Every text of a block, over all choices of `pick` (at most `MAX_ALTERNATIVES`)."""
        pending: list[tuple[int, ...]] = [()]
        for _ in range(MAX_ALTERNATIVES):
            if not pending:
                return
            given = pending.pop()
            sizes: list[int] = []

            def follow(size: int, given: tuple[int, ...] = given, sizes: list[int] = sizes) -> int:
                sizes.append(size)
                return given[len(sizes) - 1] if len(sizes) <= len(given) else 0

            yield self.render_blocks([name], variables, follow)[0]
            taken = (*given, *[0] * (len(sizes) - len(given)))
            for depth in range(len(given), len(sizes)):
                pending += [(*taken[:depth], option) for option in range(1, sizes[depth])]

    def _context(self, variables: dict[str, Any]) -> Context:
        """The template's context after its top level ran (extends, imports, `set`, macros), with no block rendered.

        If the top level only defines blocks, it runs once: the blocks are the same each time.
        """
        context = self._template.new_context(variables)
        if self._blocks:
            context.blocks = self._blocks
            return context
        own = context.blocks
        context.blocks = {name: [_empty_block, *own.get(name, ())] for name in {**self.form.blocks, **own}}
        for _ in self._template.root_render_func(context):
            pass
        for name, chain in context.blocks.items():
            if chain[0] is _empty_block:
                del chain[0]
            if name in self._defaults:
                chain.append(self._defaults[name])
        if not context.vars:
            self._blocks = context.blocks
        return context

    def _pick(self, options: Sequence[Any]) -> Any:
        """One of the options, decided by the trace's seed: the same trace always has the same text."""
        if isinstance(options, str) or not options:
            raise TemplateError("pick takes a list of phrases")
        return options[self._choose(len(options))]


def seeded_choice(seed: int) -> Choose:
    """A chooser that draws from a trace's seed, independently of the draws that decided its nodes."""
    random: Callable[[], float] | None = None

    def choose(size: int) -> int:
        nonlocal random
        random = random or Random(seed_for(seed, "words")).random
        return int(random() * size)

    return choose


def _block_text(context: Context, name: str, max_chars: int) -> str:
    parts: list[str] = []
    size = 0
    for part in context.blocks[name][0](context):
        parts.append(part)
        size += len(part)
        if size > max_chars:
            raise LimitExceeded.of_text(max_chars)
    return "".join(parts).strip()


def _empty_block(_: Context) -> Iterator[str]:
    return iter(())


def _choose_first(_: int) -> int:
    return 0
