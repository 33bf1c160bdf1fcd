"""Errors of templates as diagnostics with their place in the file."""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from jinja2 import TemplateSyntaxError
from jinja2.exceptions import UndefinedError

from astro_factory.core.config import TemplateSource
from astro_factory.core.errors import Diagnostic, Place, excerpt, near
from astro_factory.traces import error_codes
from astro_factory.traces.template_functions import LimitExceeded
from astro_factory.traces.template_limits import TemplateTooComplex

_SYNTAX_REMEDIES = {
    "defined twice": "keep one of the two",
    "Unexpected end of template": "close the open tag, for example a block with {% endblock %}",
    "unknown tag 'end": "close the tag that was opened last first",
    "unknown tag": "templates have block, if, for, set, macro, include, import and extends",
}
"""Part of a message of Jinja's parser to its usual fix."""


def diagnose(error: Exception, source: TemplateSource, variables: Mapping[str, Any]) -> Diagnostic:
    """An exception of Jinja or of template code, for the user; placed where the error or its traceback knows a line."""
    if isinstance(error, TemplateTooComplex):
        cause, remedy = error.message or "", "simplify the template, or generate its text elsewhere"
        return diagnostic_at(source, error.name or source.entry, error.lineno, error_codes.LIMIT, cause, remedy)
    if isinstance(error, TemplateSyntaxError):
        cause = _one_line((error.message or "").split(". ")[0])
        remedy = next((remedy for text, remedy in _SYNTAX_REMEDIES.items() if text in cause), "fix the tag")
        return diagnostic_at(source, error.name or source.entry, error.lineno, error_codes.SYNTAX, cause, remedy)
    name, line = _template_position(error.__traceback__) or (source.entry, 1)
    if isinstance(error, LimitExceeded):
        return diagnostic_at(source, name, line, error_codes.LIMIT, str(error), error.remedy)
    if isinstance(error, MemoryError):
        return diagnostic_at(source, name, line, error_codes.LIMIT, "the template needs too much memory")
    if isinstance(error, RecursionError):
        cause = "the template includes, extends or calls itself endlessly"
        return diagnostic_at(source, name, line, error_codes.FAILED, cause, "remove one of the references")
    cause, _, remedy = _one_line(str(error)).partition("; ")
    word = ""
    if isinstance(error, UndefinedError) and (found := re.search(r"'(\w+)' is undefined", cause)):
        word = found[1]
        remedy = _undefined_remedy(word, variables)
    elif isinstance(error, UndefinedError) and (found := re.search(r"has no attribute '(\w+)'", cause)):
        word = found[1]
        facts = {fact for key in ("node", "target") if key in variables for fact in variables[key].facts}
        remedy = near(word, facts) if "dict" in cause else ""
    remedy = remedy or "fix the expression; docs/reference/templates.md lists the variables of each block"
    return diagnostic_at(source, name, line, error_codes.FAILED, f"rendering failed: {cause}", remedy, word)


def diagnostic_at(
    source: TemplateSource, name: str, line: int, code: str, cause: str, remedy: str = "", word: str = ""
) -> Diagnostic:
    """A diagnostic at a line of a template file. Jinja keeps no columns, so the first `word` in the line is marked."""
    lines = source.sources.get(name, "").splitlines()
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) if word else re.search(r"\S", text)
    column = found.start() + 1 if found else 1
    return Diagnostic(code, cause, remedy, Place(name, line, column), excerpt(text, column) if text else "")


def _undefined_remedy(word: str, variables: Mapping[str, Any]) -> str:
    if word in variables:
        return f"an imported file does not see '{word}': pass it to the macro, or import the file `with context`"
    return near(word, [*variables, "pick"])


def _template_position(traceback: TracebackType | None) -> tuple[str, int] | None:
    """File and line of the innermost frame of template code."""
    found = None
    while traceback is not None:
        if template := traceback.tb_frame.f_globals.get("__jinja_template__"):
            found = (template.name, template.get_corresponding_lineno(traceback.tb_lineno))
        traceback = traceback.tb_next
    return found if found and found[0] else None


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:300]
