"""Renders chat templates, the Jinja programs of models' tokenizers, in a worker with limits.

A model folder may come from a stranger, and its template runs for every prompt. Jinja's sandbox keeps it away from
files and Python; the worker bounds its CPU time, memory and output.

Templates see what transformers' `apply_chat_template` shows them, so that every honest one renders the same text; tests
compare the two. Only the clock differs: some templates (Llama 3.2) write today's date into each prompt. Here it is
always `PROMPT_DATE`, so that equal inputs give equal ids on every day.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from astro_factory.core.errors import UserError
from astro_factory.core.workers import SharedWorker, WorkerError, limit_exceeded

Message = dict[str, str]

_DAY = datetime(2024, 7, 26)
PROMPT_DATE = _DAY.strftime("%d %b %Y")
"""Today's date in all prompts: the one that Llama 3's templates write where they know no other."""
CLOCK_FUNCTION = "strftime_now"
"""The function by which a chat template reads the clock."""
_CPU_S, _TIMEOUT_S = 5.0, 120.0
_MEMORY_BYTES = 768 << 20
_MAX_CHARS, _MAX_GROWTH = 100_000, 10
"""A conversation's text may be so long, or so many times as long as its messages."""
_BATCH = 256
_REMEDY = "use the model with a chat template that you trust: replace `chat_template.jinja` in its folder"

_worker = SharedWorker(f"{__name__}:render", memory_bytes=_MEMORY_BYTES)


class ChatTokenizer(Protocol):
    """What rendering needs of a tokenizer; those of transformers have it."""

    @property
    def special_tokens_map(self) -> Mapping[str, Any]: ...

    def get_chat_template(self) -> str: ...


class Rendering(NamedTuple):
    """A request to the worker."""

    template: str
    conversations: Sequence[Sequence[Message]]
    variables: Mapping[str, Any]


def render_chats(tokenizer: ChatTokenizer, conversations: Sequence[Sequence[Message]]) -> list[str]:
    """The text of each conversation up to the start of the assistant's next message.

    Raises:
        UserError: E436 if the template fails or exceeds a limit.
    """
    template = tokenizer.get_chat_template()
    variables = {**tokenizer.special_tokens_map, "tools": None, "documents": None, "add_generation_prompt": True}
    batches = (conversations[start : start + _BATCH] for start in range(0, len(conversations), _BATCH))
    return [text for batch in batches for text in _render_bounded(Rendering(template, batch, variables))]


def _render_bounded(request: Rendering) -> list[str]:
    try:
        return _worker.call(request, timeout_s=_TIMEOUT_S, cpu_s=_CPU_S)
    except WorkerError as error:
        raise _unusable(limit_exceeded(error, _CPU_S, _MEMORY_BYTES) or f"fails: {error.last_line}") from None


def _unusable(cause: str) -> UserError:
    return UserError.of("E436", f"the model's chat template {cause}", _REMEDY)


def render(request: Rendering) -> list[str]:
    """Runs in the worker. Raises what the template raises, and `UserError` E436 for a text that is too long."""
    template = _compiled(request.template)
    return list(_texts(template, request))


def _texts(template: Template, request: Rendering) -> Iterator[str]:
    for messages in request.conversations:
        limit = max(_MAX_CHARS, _MAX_GROWTH * sum(len(message["content"]) for message in messages))
        text = template.render(messages=[dict(message) for message in messages], **request.variables)
        if len(text) > limit:
            raise _unusable(f"produces more than {limit:,} characters")
        yield text


@lru_cache(maxsize=16)
def _compiled(template: str) -> Template:
    """A template in the environment that transformers documents for chat templates."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals |= {
        "raise_exception": _raise_exception,
        CLOCK_FUNCTION: _DAY.strftime,
        "dict": _make_dict,
        "namespace": _Namespace,
    }
    return environment.from_string(template)


class _Generation(Extension):
    """The tag `{% generation %}`, which marks what the assistant wrote; it changes no text."""

    tags = {"generation"}  # noqa: RUF012, declared so by Jinja

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class _Namespace(Namespace):
    """Jinja's `namespace`, without names that start with an underscore."""

    def __init__(*args: Any, **attributes: Any) -> None:
        for name in dict(*args[1:], **attributes):
            _check_name(name)
        Namespace.__init__(*args, **attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: str) -> None:
    if str(name).startswith("_"):
        raise SecurityError(f"a namespace has no attribute {name!r}")


def _make_dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)


def _tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)
