"""A template as something that speaks: its named blocks, rendered one at a time in a sandbox.

A reflection template is a Jinja file of blocks, one for each thing a trace can say (`BLOCKS`). A block that is not
defined says its default, so a template holds only what it changes, and another extends it:

    {% extends "reflection/paper.jinja" %}
    {% block wrong %}Hmm, {{ node.answer }} cannot be right.{% endblock %}

What a template can do and cannot is in `sandbox`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.exceptions import UndefinedError
from jinja2.runtime import Context

from astro_factory.core.canonical import seed_for
from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, Place, UserError, excerpt, near
from astro_factory.traces import error_codes
from astro_factory.traces.sandbox import MAX_CHARS, LimitExceeded, Sandbox
from astro_factory.traces.template_dependencies import TemplateDependencies

BLOCKS = {
    "reflect": "",
    "wrong": "",
    "backtrack": "",
    "restart": "{{ self.backtrack() }}",
    "right": "",
    "answer": "{{ node.closing }}",
}
"""What can be said, with its default: at the end of a branch, before and as the verdict; where the trace goes back to
(`restart`: the root); the line that states the final answer."""
VARIABLES = ("problem", "node", "step", "target", "target_step", "attempt", "pick")
"""What blocks know; `target` and `target_step` in `wrong`, `backtrack` and `restart` only. docs/reference/templates.md
documents them."""
MAX_ALTERNATIVES = 1000

Choose = Callable[[int], int]
"""Given how many options there are, the index of the chosen one."""


@dataclass(frozen=True)
class TemplateForm:
    """What a sort of template can say."""

    blocks: Mapping[str, str]
    """What can be said, with its default."""
    variables: tuple[str, ...]
    """What blocks know."""
    max_chars: int = MAX_CHARS
    """Longest text of a block."""
    unknown: str = "no move says a block"
    """What is wrong with any other block."""


REFLECTION = TemplateForm(BLOCKS, VARIABLES)


class TemplateRenderer:
    """The blocks of one template, ready to speak. Not for several threads at once: `pick` has one chooser."""

    def __init__(self, source: TemplateSource, speech: TemplateForm = REFLECTION):
        """Raises UserError where a file of the template is not valid Jinja or is missing."""
        self.source, self.speech = source, speech
        defaults = "".join(f"{{% block {name} %}}{text}{{% endblock %}}" for name, text in speech.blocks.items())
        self._sandbox = Sandbox(source.sources, speech.max_chars)
        self._sandbox.globals["pick"] = self._pick
        self._choose: Choose = _first
        self._blocks: dict[str, list[Any]] = {}
        self._defaults = self._sandbox.from_string(defaults).blocks
        try:
            self._template = self._sandbox.get_template(source.entry)
            self._reads = TemplateDependencies(self._sandbox, source.entry, source.sources, defaults, speech.variables)
        except TemplateError as error:
            raise UserError(diagnose(error, source, {})) from error
        fixed = {name: self._reads.fixed(name) for name in speech.blocks}
        self._fixed = {name: text for name, text in fixed.items() if text is not None}
        self._states_closing = "answer" in speech.blocks and self._reads.is_default("answer")
        self._keys: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._said: dict[tuple, tuple[list[str], list[Any]]] = {}
        self._problem: Any = None

    def say(self, names: Sequence[str], variables: dict[str, Any], choose: Choose) -> list[str]:
        """The texts of the named blocks, without white space around them; empty where a block says nothing.

        Raises UserError at the place in the template where rendering failed. Nodes must not change in between: what was
        said of the same problem with equal variables is not said anew.
        """
        names = tuple(names)
        reads = self._keys.get(names)
        if reads is None:
            reads = self._keys[names] = self._reads.of(names)
        if "pick" in reads:
            return self._spoken(names, variables, choose)
        if variables["problem"] is not self._problem:
            self._said.clear()
            self._problem = variables["problem"]
        read = [variables.get(name) for name in reads]
        key = (names, *[value if type(value) is int else id(value) for value in read])
        known = self._said.get(key)
        if known is None:
            # What was read is kept, so that no other node can come to have its id.
            known = self._said[key] = self._spoken(names, variables, choose), read
        return known[0]

    def _spoken(self, names: Sequence[str], variables: dict[str, Any], choose: Choose) -> list[str]:
        """The texts made anew; a context is made where one of them needs it."""
        self._choose = choose
        self._sandbox.turns = 0
        context: Context | None = None
        texts: list[str] = []
        try:
            for name in names:
                text = self._fixed.get(name)
                if text is None and name == "answer" and self._states_closing:
                    text = variables["node"].closing.strip()
                if text is None:
                    context = self._context(variables) if context is None else context
                    text = _text(context, name, self.speech.max_chars)
                texts.append(text)
        except Exception as error:  # template code can raise anything
            raise UserError(diagnose(error, self.source, variables)) from error
        return texts

    def alternatives(self, name: str, variables: dict[str, Any]) -> Iterator[str]:
        """Every text that a block can say, over all choices of `pick` (`MAX_ALTERNATIVES` at most)."""
        pending: list[tuple[int, ...]] = [()]
        for _ in range(MAX_ALTERNATIVES):
            if not pending:
                return
            fixed = pending.pop()
            sizes: list[int] = []

            def follow(size: int, fixed: tuple[int, ...] = fixed, sizes: list[int] = sizes) -> int:
                sizes.append(size)
                return fixed[len(sizes) - 1] if len(sizes) <= len(fixed) else 0

            yield self.say([name], variables, follow)[0]
            taken = (*fixed, *[0] * (len(sizes) - len(fixed)))
            for depth in range(len(fixed), len(sizes)):
                pending += [(*taken[:depth], option) for option in range(1, sizes[depth])]

    def _context(self, variables: dict[str, Any]) -> Context:
        """The template's context after its top level ran (extends, imports, `set`, macros), with no block said.

        Where the top level only defines blocks, it runs once: what it leaves behind are the same blocks each time.
        """
        context = self._template.new_context(variables)
        if self._blocks:
            context.blocks = self._blocks
            return context
        own = context.blocks
        context.blocks = {name: [_silence, *own.get(name, ())] for name in {**self.speech.blocks, **own}}
        for _ in self._template.root_render_func(context):
            pass
        for name, chain in context.blocks.items():
            if chain[0] is _silence:
                del chain[0]
            if name in self._defaults:
                chain.append(self._defaults[name])
        if not context.vars:
            self._blocks = context.blocks
        return context

    def _pick(self, options: Sequence[Any]) -> Any:
        """One of the options: by the trace's seed, so that the same trace always has the same words."""
        if isinstance(options, str) or not options:
            raise TemplateError("pick takes a list of phrases")
        return options[self._choose(len(options))]


def seeded(seed: int) -> Choose:
    """A chooser that draws from a trace's seed, apart from the draws that decided its nodes."""
    random: Callable[[], float] | None = None

    def choose(size: int) -> int:
        nonlocal random
        random = random or Random(seed_for(seed, "words")).random
        return int(random() * size)

    return choose


def diagnose(error: Exception, source: TemplateSource, variables: Mapping[str, Any]) -> Diagnostic:
    """What a template raised as the user reads it, with its place where the traceback or the error knows one."""
    if isinstance(error, TemplateSyntaxError):
        cause = _one_line((error.message or "").split(". ")[0])
        remedy = next((mend for words, mend in _MENDS.items() if words in cause), "mend the tag")
        return at(source, error.name or source.entry, error.lineno, error_codes.SYNTAX, cause, remedy)
    name, line = _where(error.__traceback__) or (source.entry, 1)
    if isinstance(error, LimitExceeded):
        return at(source, name, line, error_codes.TOO_LONG, str(error), error.remedy)
    if isinstance(error, RecursionError):
        cause = "the template includes, extends or calls itself without an end"
        return at(source, name, line, error_codes.FAILED, cause, "remove one of the names")
    cause, _, remedy = _one_line(str(error)).partition("; ")
    word = ""
    if isinstance(error, UndefinedError) and (found := re.search(r"'(\w+)' is undefined", cause)):
        word = found[1]
        remedy = _unknown_name(word, variables)
    elif isinstance(error, UndefinedError) and (found := re.search(r"has no attribute '(\w+)'", cause)):
        word = found[1]
        facts = {fact for key in ("node", "target") if key in variables for fact in variables[key].facts}
        remedy = near(word, facts) if "dict" in cause else ""
    remedy = remedy or "mend the expression; docs/reference/templates.md tells what blocks know"
    return at(source, name, line, error_codes.FAILED, f"rendering failed: {cause}", remedy, word)


_MENDS = {
    "defined twice": "keep one of the two",
    "Unexpected end of template": "close what stands open, such as a block by {% endblock %}",
    "unknown tag 'end": "close first what was opened last",
    "unknown tag": "a template knows block, if, for, set, macro, include, import, extends",
}
"""Words of Jinja's parser to what mostly mends it."""


def at(
    source: TemplateSource, name: str, line: int, code: str, cause: str, remedy: str = "", word: str = ""
) -> Diagnostic:
    """A diagnostic at a line of a template file; Jinja keeps no columns, so `word` says what to point at."""
    lines = source.sources.get(name, "").splitlines()
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) if word else re.search(r"\S", text)
    column = found.start() + 1 if found else 1
    return Diagnostic(code, cause, remedy, Place(name, line, column), excerpt(text, column) if text else "")


def _unknown_name(word: str, variables: Mapping[str, Any]) -> str:
    if word in variables:
        return f"an imported file does not see '{word}': hand it to the macro, or import it `with context`"
    return near(word, [*variables, "pick"])


def _text(context: Context, name: str, most: int) -> str:
    parts: list[str] = []
    size = 0
    for part in context.blocks[name][0](context):
        parts.append(part)
        size += len(part)
        if size > most:
            raise LimitExceeded(f"a block says more than {most} characters", "look for a loop that repeats too often")
    return "".join(parts).strip()


def _where(traceback: TracebackType | None) -> tuple[str, int] | None:
    """File and line of the innermost frame of template code."""
    found = None
    while traceback is not None:
        if template := traceback.tb_frame.f_globals.get("__jinja_template__"):
            found = (template.name, template.get_corresponding_lineno(traceback.tb_lineno))
        traceback = traceback.tb_next
    return found if found and found[0] else None


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:300]


def _silence(_: Context) -> Iterator[str]:
    return iter(())


def _first(_: int) -> int:
    return 0
