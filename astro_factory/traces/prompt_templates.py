"""Prompts as templates: the messages that a model is asked with, about a right end (`judge`) or a line (`rewrite`).

A prompt is a Jinja file of blocks, one a message: `system`, then examples as turns that came before (`user_1`,
`assistant_1`, `user_2`, …), then `user`. Only `user` has to be there.
"""

import re
from collections.abc import Iterable
from typing import Any

from jinja2 import TemplateSyntaxError, nodes

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.traces import error_codes
from astro_factory.traces.sample_tree import sample_tree
from astro_factory.traces.sandbox import Sandbox
from astro_factory.traces.template_renderer import TemplateForm, TemplateRenderer, at, diagnose

FORMS = {"judge": ("problem", "node", "solution"), "rewrite": ("problem", "line", "before")}
"""What asks, and what its prompts know."""
_MAX_CHARS = 1_000_000
"""Longest message: a trace of thousands of steps is part of one."""
_EXAMPLE = re.compile(r"(user|assistant)_([1-9]\d*)")


class Prompt:
    """The messages of one template. Not for several threads at once."""

    def __init__(self, source: TemplateSource, form: str):
        """Raises UserError where a file of the template is not valid Jinja or is missing."""
        sandbox = Sandbox(source.sources)
        try:
            trees = [sandbox.parse(text, name) for name, text in source.sources.items()]
        except TemplateSyntaxError as error:
            raise UserError(diagnose(error, source, {})) from error
        self._renderer = TemplateRenderer(source, prompt_form(trees, form))

    def messages(self, variables: dict[str, Any]) -> list[dict[str, str]]:
        """A conversation that ends with the question. Raises UserError at the place where rendering failed."""
        turns = self.turns(variables)
        return [{"role": name.partition("_")[0], "content": text} for name, text in turns.items()]

    def turns(self, variables: dict[str, Any]) -> dict[str, str]:
        """Block to text, in the order of the conversation; a system message that says nothing is left out."""
        names = list(self._renderer.speech.blocks)
        said = dict(zip(names, self._renderer.say(names, variables, lambda _: 0), strict=True))
        return {name: text for name, text in said.items() if text or name != "system"}


def prompt_form(trees: Iterable[nodes.Template], form: str) -> TemplateForm:
    """The blocks that a prompt's files have, in the order of its messages, and what they know."""
    names = {block.name for tree in trees for block in tree.find_all(nodes.Block)}
    examples = sorted({int(found[2]) for name in names if (found := _EXAMPLE.fullmatch(name))})
    names = ["system", *(f"{role}_{number}" for number in examples for role in ("user", "assistant")), "user"]
    return TemplateForm(dict.fromkeys(names, ""), FORMS[form], _MAX_CHARS, "no message is a block")


def check_messages(source: TemplateSource, form: str) -> list[Diagnostic]:
    """What is wrong with the messages themselves, found by asking about a sample."""
    tree = sample_tree()
    sample = {"problem": tree.problem, "node": tree.nodes[5], "solution": "step", "before": "step", "line": "a line"}
    try:
        messages = Prompt(source, form).turns({name: sample[name] for name in FORMS[form]})
    except UserError as error:
        return error.diagnostics
    if empty := [name for name, text in messages.items() if not text]:
        cause, remedy = f"the prompt's block '{empty[0]}' says nothing", f"write {{% block {empty[0]} %}}"
        return [at(source, source.entry, 1, error_codes.PROMPT, cause, remedy)]
    if form == "rewrite" and sample["line"] not in messages["user"]:
        cause, remedy = "the prompt does not show the line that is to be reworded", "let 'user' say {{ line }}"
        return [at(source, source.entry, 1, error_codes.PROMPT, cause, remedy)]
    return []
