"""Reads a server's response to one completion request. Every field is checked: servers are not trusted."""

import json
import math
import re
from typing import Any

from astro_factory.core.errors import UserError
from astro_factory.engines.base import Sample, as_float32

_TOKEN_PREFIX = "token_id:"
_TOKEN_ID = re.compile(r"token_id:[0-9]{1,9}")
_BASE_BYTES = 1 << 20
_TOKEN_BYTES = 1 << 10


def largest_response(max_tokens: int) -> int:
    """Most bytes of an honest response: a token's id, text and log-probability take some hundred bytes."""
    return _BASE_BYTES + _TOKEN_BYTES * max_tokens


def first_choice(data: bytes) -> dict[str, Any]:
    """The first choice of a response. Raises `ValueError` for anything but JSON with a choice."""
    try:
        return dict(json.loads(data)["choices"][0])
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError("the response has no choices") from error


def as_sample(choice: dict[str, Any], max_tokens: int, model: str) -> Sample:
    """The sample of a choice.

    Raises:
        UserError: E607 without token ids, E620 for more than `max_tokens` tokens and for malformed fields.
    """
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("tokens") if isinstance(logprobs, dict) else None
    if not (isinstance(tokens, list) and tokens and all(str(token).startswith(_TOKEN_PREFIX) for token in tokens)):
        raise UserError.of(
            "E607",
            f"the server of '{model}' does not return token ids with its log-probabilities",
            "use a server that supports return_tokens_as_token_ids, such as `vllm serve`",
        )
    assert isinstance(logprobs, dict)
    if len(tokens) > max_tokens:
        raise invalid_response(model, f"{len(tokens)} tokens where at most {max_tokens} were requested")
    if not all(_TOKEN_ID.fullmatch(str(token)) for token in tokens):
        raise invalid_response(model, "a token id that is not a number")
    values, text = logprobs.get("token_logprobs"), choice.get("text")
    if not (isinstance(values, list) and len(values) == len(tokens) and all(map(_is_number, values))):
        raise invalid_response(model, "log-probabilities that are not one number per token")
    if not isinstance(text, str):
        raise invalid_response(model, "no text")
    ids = tuple(int(str(token).removeprefix(_TOKEN_PREFIX)) for token in tokens)
    if choice.get("finish_reason") == "length":
        return Sample(ids, text, as_float32(values), "length")
    return Sample(ids, text, as_float32(values), "stop" if isinstance(choice.get("stop_reason"), str) else "eos")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e30 and not math.isnan(value)


def invalid_response(model: str, problem: str) -> UserError:
    """An error about a response that no honest server gives."""
    remedy = "check which server answers at the engine's base_urls, and its version"
    return UserError.of("E620", f"the server of '{model}' returned {problem}", remedy)
