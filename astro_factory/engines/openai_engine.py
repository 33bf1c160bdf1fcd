"""Samples from OpenAI-compatible servers: they receive prompts as token ids and return token ids and log-probabilities.

Requests are retried after overload and server errors. A request that the server refuses is an error of the user. The
key goes only to the hosts that the spec names: not to where they redirect, not into messages, not into samples.
"""

import http.client
import json
import os
import sys
import threading
import urllib.error
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from astro_factory.core.errors import UserError
from astro_factory.engines.async_engine import AsyncEngine
from astro_factory.engines.base import Request, Sample, room_for
from astro_factory.engines.completions import as_sample, first_choice, invalid_response, largest_response
from astro_factory.engines.config import OpenAIConfig
from astro_factory.engines.http_client import ResponseTooLarge, fault_of_server, post

_LONGEST_WAIT_S = 60.0
_REACHED_WITHIN_S = 5.0
"""How long a server may take to accept a connection before the first request."""
_LOST = (OSError, http.client.HTTPException, ValueError)
_LONGEST_ERROR = 1 << 16
"""Most bytes that are read of a refusal."""
_LONGEST_QUOTE = 500
"""Most characters of a server's text in a message."""
_SECRET = 16
"""Shorter keys are placeholders, such as `EMPTY`, which an honest sample may contain."""


class OpenAIEngine(AsyncEngine):
    """One HTTP request per sample, `concurrency` of them at once."""

    def __init__(self, config: OpenAIConfig, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.max_model_len = config.max_model_len
        self._key = _read_key(config.api_key_env) if config.api_key_env else ""
        _require_server(config)
        self._config = config
        self._turn = count()
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(config.concurrency)
        self._headers = {"Content-Type": "application/json"}
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key}"

    def submit(self, request: Request, seed: int) -> "Future[Sample]":
        return self._pool.submit(self._sample, request, seed, room_for(request, self.max_model_len))

    def close(self) -> None:
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)

    def _body(self, request: Request, seed: int, limit: int) -> bytes:
        fields = {
            "model": self._config.model,
            "prompt": list(request.prompt_ids),
            "seed": seed,
            "max_tokens": limit,
            "temperature": request.temperature,
            "stop": list(request.stop),
            "logprobs": 0,
            "return_tokens_as_token_ids": True,
        }
        return json.dumps(fields).encode()

    def _choice(self, body: bytes, limit: int) -> dict[str, Any]:
        """The first choice of the server's response, with retries."""
        urls, model = self._config.base_urls, self._config.model
        for attempt in count():
            url = urls[next(self._turn) % len(urls)].rstrip("/") + "/completions"
            wait = min(_LONGEST_WAIT_S, self._config.backoff_s * 2**attempt)
            try:
                data = post(url, body, self._headers, self._config.timeout_s, largest_response(limit))
                return first_choice(data)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code != 429 and error.code < 500:
                        raise self._refusal(url, error) from None
                cause = f"HTTP {error.code}"
                wait = max(wait, _seconds(error.headers.get("Retry-After")))
            except ResponseTooLarge:
                problem = f"more than {largest_response(limit):,} bytes for at most {limit} tokens"
                raise invalid_response(model, problem) from None
            except _LOST as error:
                cause = self._redacted(str(getattr(error, "reason", "") or error or type(error).__name__))
            if attempt >= self._config.retries:
                raise UserError.of(
                    "E603",
                    f"{url} gave no answer in {attempt + 1} attempts: {cause[:_LONGEST_QUOTE]}",
                    "check that the server runs. Finished items are kept: the same command continues from there",
                )
            retry = f"retry {attempt + 1} of {self._config.retries} in {wait:g} s"
            print(f"{url}: {cause[:_LONGEST_QUOTE]}; {retry}", file=sys.stderr, flush=True)
            if self._closed.wait(wait):
                raise CancelledError
        raise AssertionError("count() does not end")

    def _sample(self, request: Request, seed: int, limit: int) -> Sample:
        choice = self._choice(self._body(request, seed, limit), limit)
        sample = as_sample(choice, limit, self._config.model)
        if len(self._key) >= _SECRET and (self._key in sample.text or self._key in self.tokenizer.decode(sample.ids)):
            raise invalid_response(self._config.model, f"the key of {self._config.api_key_env} in a sample")
        return sample

    def _redacted(self, text: str) -> str:
        """Text of a server without the key, which it may echo."""
        return text.replace(self._key, "[key]") if self._key else text

    def _refusal(self, url: str, error: urllib.error.HTTPError) -> UserError:
        if 300 <= error.code < 400:
            target = self._redacted(str(error.headers.get("Location")))[:_LONGEST_QUOTE]
            return UserError.of(
                "E604",
                f"{url} redirects with HTTP {error.code} to {target}; redirects are not followed",
                "write the final address into base_urls if you trust its host with the key",
            )
        text = self._redacted(_error_text(error)).strip()[:_LONGEST_QUOTE]
        remedies = {
            401: "set the engine's api_key_env",
            403: "set the engine's api_key_env",
            404: "compare the engine's model and base_urls (up to /v1) with what the server offers at /v1/models",
        }
        remedy = remedies.get(error.code, "compare the engine's settings with the server's")
        return UserError.of("E604", f"{url} refused a request with HTTP {error.code}: {text}", remedy)


def _require_server(config: OpenAIConfig) -> None:
    """Raises `UserError` E626 if no address has a server. Requests of a running stage are retried."""
    faults = {}
    for url in config.base_urls:
        faults[url] = fault_of_server(url.rstrip("/") + "/models", _REACHED_WITHIN_S)
        if not faults[url]:
            return
    causes = ", ".join(f"{url} ({fault[:_LONGEST_QUOTE]})" for url, fault in faults.items())
    raise UserError.of("E626", f"there is no server at {causes}", "start it, or correct the engine's base_urls")


def _read_key(variable: str) -> str:
    """The key in an environment variable. Raises `UserError` E606 without quoting it."""
    key = os.environ.get(variable, "")
    problem = "is empty" if not key else "contains a line break or another character that no key has"
    if key and key.isascii() and key.isprintable():
        return key
    cause = f"the environment variable {variable}, named by the engine's api_key_env, {problem}"
    raise UserError.of("E606", cause, f"export {variable}=…")


def _error_text(error: urllib.error.HTTPError) -> str:
    """What a server writes about a refusal: the message in its JSON, or all of it."""
    try:
        text = error.read(_LONGEST_ERROR).decode(errors="replace")
    except (*_LOST, ValueError):
        return ""
    try:
        found = json.loads(text)
        return str(found.get("error", found).get("message", text))
    except (ValueError, AttributeError, RecursionError):
        return text


def _seconds(header: str | None) -> float:
    """A Retry-After header in seconds, at most a minute; 0 for a date."""
    try:
        return min(_LONGEST_WAIT_S, float(header or 0))
    except ValueError:
        return 0.0
