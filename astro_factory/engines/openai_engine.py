"""Samples from OpenAI-compatible servers: they receive prompts as token ids and return token ids and log-probabilities.

Requests are retried after overload and server errors. A request that the server refuses is an error of the user.
"""

import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from astro_factory.core.errors import UserError
from astro_factory.engines.async_engine import AsyncEngine
from astro_factory.engines.base import Request, Sample, as_float32, room_for
from astro_factory.engines.config import OpenAIConfig

_LONGEST_WAIT_S = 60.0
_TOKEN_PREFIX = "token_id:"
_LOST = (OSError, TimeoutError, http.client.HTTPException, json.JSONDecodeError)


class OpenAIEngine(AsyncEngine):
    """One HTTP request per sample, `concurrency` of them at once."""

    def __init__(self, config: OpenAIConfig, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.max_model_len = config.max_model_len
        self._config = config
        self._turn = count()
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(config.concurrency)
        self._headers = {"Content-Type": "application/json"}
        if config.api_key_env:
            key = os.environ.get(config.api_key_env)
            if not key:
                raise UserError.of(
                    "E606",
                    f"the environment variable {config.api_key_env}, named by the engine's api_key_env, is empty",
                    f"export {config.api_key_env}=…",
                )
            self._headers["Authorization"] = f"Bearer {key}"

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

    def _answer(self, body: bytes) -> dict[str, Any]:
        """The first choice of the server's response, with retries."""
        urls = self._config.base_urls
        for attempt in count():
            url = urls[next(self._turn) % len(urls)].rstrip("/") + "/completions"
            wait = min(_LONGEST_WAIT_S, self._config.backoff_s * 2**attempt)
            try:
                request = urllib.request.Request(url, body, self._headers)
                with urllib.request.urlopen(request, timeout=self._config.timeout_s) as response:
                    return json.load(response)["choices"][0]
            except urllib.error.HTTPError as error:
                if error.code != 429 and error.code < 500:
                    raise _refusal(url, error) from error
                cause = f"HTTP {error.code}"
                wait = max(wait, _seconds(error.headers.get("Retry-After")))
            except _LOST as error:
                cause = str(getattr(error, "reason", "") or error or type(error).__name__)
            if attempt >= self._config.retries:
                raise UserError.of(
                    "E603",
                    f"{url} gave no answer in {attempt + 1} attempts: {cause}",
                    "check that the server runs. Finished items are kept: the same command continues from there",
                )
            if self._closed.wait(wait):
                raise CancelledError
        raise AssertionError("count() does not end")

    def _sample(self, request: Request, seed: int, limit: int) -> Sample:
        choice = self._answer(self._body(request, seed, limit))
        logprobs = choice.get("logprobs") or {}
        tokens = logprobs.get("tokens") or []
        if not tokens or not all(token.startswith(_TOKEN_PREFIX) for token in tokens):
            raise UserError.of(
                "E607",
                f"the server of '{self._config.model}' does not return token ids with its log-probabilities",
                "use a server that supports return_tokens_as_token_ids, such as `vllm serve`",
            )
        ids = tuple(int(token.removeprefix(_TOKEN_PREFIX)) for token in tokens)
        if choice["finish_reason"] == "length":
            finish = "length"
        else:
            finish = "stop" if isinstance(choice.get("stop_reason"), str) else "eos"
        return Sample(ids, choice["text"], as_float32(logprobs["token_logprobs"]), finish)


def _refusal(url: str, error: urllib.error.HTTPError) -> UserError:
    text = error.read().decode(errors="replace")
    try:
        found = json.loads(text)
        text = found.get("error", found).get("message", text)
    except (ValueError, AttributeError):
        pass
    remedies = {
        401: "set the engine's api_key_env",
        403: "set the engine's api_key_env",
        404: "compare the engine's model and base_urls (up to /v1) with what the server offers at /v1/models",
    }
    remedy = remedies.get(error.code, "compare the engine's settings with the server's")
    return UserError.of("E604", f"{url} refused a request with HTTP {error.code}: {text.strip()[:500]}", remedy)


def _seconds(header: str | None) -> float:
    """A Retry-After header in seconds, at most a minute; 0 for a date."""
    try:
        return min(_LONGEST_WAIT_S, float(header or 0))
    except ValueError:
        return 0.0
