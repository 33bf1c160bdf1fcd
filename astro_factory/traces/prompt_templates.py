"""Prompts as templates: the messages that ask a model about a correct terminal (`judge`) or a line (`rewrite`).

A prompt is a Jinja file with a block for each message: `system`, then examples as earlier turns (`user_1`,
`assistant_1`, `user_2`, …), then `user`. Only `user` is required.
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
from astro_factory.traces.template_errors import diagnose, diagnostic_at
from astro_factory.traces.template_renderer import TemplateForm, TemplateRenderer

PROMPT_VARIABLES = {
    "judge": ("problem", "node", "solution"),
    "rewrite": ("problem", "line", "before", "kind", "target"),
}
"""Variables of the prompts of each stage kind."""
_MAX_CHARS = 1_000_000
"""Longest message; it can contain a trace of thousands of steps."""
_EXAMPLE = re.compile(r"(user|assistant)_([1-9]\d*)")


class Prompt:
    """The messages of one template. Not thread-safe."""

    def __init__(self, source: TemplateSource, form: str):
        """Raises UserError if a file of the template is missing or not valid Jinja."""
        sandbox = Sandbox(source.sources)
        try:
            trees = [sandbox.parse(text, name) for name, text in source.sources.items()]
        except TemplateSyntaxError as error:
            raise UserError(diagnose(error, source, {})) from error
        self._renderer = TemplateRenderer(source, prompt_form(trees, form))

    def messages(self, variables: dict[str, Any]) -> list[dict[str, str]]:
        """A conversation that ends with the question. Raises UserError with the place where rendering failed."""
        turns = self.turns(variables)
        return [{"role": name.partition("_")[0], "content": text} for name, text in turns.items()]

    def turns(self, variables: dict[str, Any]) -> dict[str, str]:
        """Text of each block, in the order of the conversation; an empty system message is left out."""
        names = list(self._renderer.form.blocks)
        texts = self._renderer.render_blocks(names, variables, lambda _: 0)
        return {name: text for name, text in zip(names, texts, strict=True) if text or name != "system"}


def prompt_form(trees: Iterable[nodes.Template], form: str) -> TemplateForm:
    """The blocks of a prompt's files, in the order of its messages, and their variables."""
    names = {block.name for tree in trees for block in tree.find_all(nodes.Block)}
    examples = sorted({int(found[2]) for name in names if (found := _EXAMPLE.fullmatch(name))})
    blocks = ["system", *(f"{role}_{number}" for number in examples for role in ("user", "assistant")), "user"]
    return TemplateForm(dict.fromkeys(blocks, ""), PROMPT_VARIABLES[form], _MAX_CHARS, "prompts have no block")


def check_messages(source: TemplateSource, form: str) -> list[Diagnostic]:
    """What is wrong with the messages themselves, found by rendering them for a sample."""
    tree = sample_tree()
    sample = {"problem": tree.problem, "node": tree.nodes[5], "solution": "step", "before": "step", "line": "a line"}
    sample |= {"kind": "move", "target": "step"}
    try:
        turns = Prompt(source, form).turns({name: sample[name] for name in PROMPT_VARIABLES[form]})
    except UserError as error:
        return error.diagnostics
    if empty := [name for name, text in turns.items() if not text]:
        cause, remedy = f"the prompt's block '{empty[0]}' is empty", f"write {{% block {empty[0]} %}}"
        return [diagnostic_at(source, source.entry, 1, error_codes.PROMPT, cause, remedy)]
    if form == "rewrite" and "a line" not in turns["user"]:
        cause, remedy = "the prompt does not contain the line to reword", "print {{ line }} in the block 'user'"
        return [diagnostic_at(source, source.entry, 1, error_codes.PROMPT, cause, remedy)]
    return []
