"""The OpenAI engine against servers that steal keys, send too much, never end, or answer nonsense; all are real."""

import re
import time

import pytest

from astro_factory.core.errors import UserError
from astro_factory.engines import Request, open_engine
from astro_factory.engines.config import OpenAIConfig
from tests.engines.hostile_servers import (
    INVALID,
    JSON,
    KEY,
    KEY_AS_STATUS_LINE,
    LOST,
    REFUSED,
    answer,
    choice,
    drips,
    raw_server,
    sends,
)
from tests.engines.tiny import make_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("HOSTILE_KEY", KEY)


def generate(folder, url, **fields):
    fields = {"retries": 0, "timeout_s": 30.0, "backoff_s": 0.0, "api_key_env": "HOSTILE_KEY"} | fields
    config = OpenAIConfig(kind="openai", base_urls=[url], model="tiny", max_model_len=64, **fields)
    with open_engine(config, folder) as engine:
        return engine.generate([Request((5, 6), (1,), 8)])


def failure(folder, respond, **fields) -> tuple[str, str]:
    """Code and text of the error."""
    with raw_server(respond) as (url, _), pytest.raises(UserError) as caught:
        generate(folder, url, **fields)
    chain = [caught.value, caught.value.__cause__]
    assert KEY not in "".join(map(str, chain)) + repr(caught.value)
    return caught.value.diagnostics[0].code, str(caught.value).replace(url, "URL")


@pytest.mark.parametrize(("code", "text"), [
    *(pytest.param("E620", text, id=name) for name, text in INVALID.items()),
    *(pytest.param("E603", text, id=name) for name, text in LOST.items()),
    *(pytest.param("E604", text, id=name) for name, text in REFUSED.items()),
])  # fmt: skip
def test_hostile_response(code, text, folder, golden):
    found, message = failure(folder, sends(text))
    assert found == code
    if code != "E603":
        golden(re.sub(r"(.)\1{20,}", r"\1…", message))


@pytest.mark.parametrize(("first", "code"), [(None, "E626"), (answer("{}"), "E603")], ids=["at once", "later"])
def test_a_key_that_comes_back_as_a_status_line_is_not_quoted(first, code, folder):
    assert failure(folder, sends(KEY_AS_STATUS_LINE, first))[0] == code


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_does_not_follow_a_redirect(status, folder):
    with raw_server(sends(answer(choice()))) as (other, seen):
        head = f"HTTP/1.1 {status} go\r\nLocation: {other}/completions\r\n"
        code, message = failure(folder, sends(answer("", head)))
    assert code == "E604"
    assert f"redirects with HTTP {status}" in message
    assert seen == []


@pytest.mark.parametrize("head", ["H", JSON + "\r\n", JSON + "X: " + "y" * 400], ids=["status", "body", "header"])
def test_the_deadline_covers_the_whole_request(head, folder):
    begin = time.monotonic()
    assert failure(folder, drips(head), timeout_s=1.0)[0] == "E603"
    assert time.monotonic() - begin < 8


def test_a_dripping_refusal_obeys_the_deadline(folder):
    def respond(connection):
        connection.sendall(b"HTTP/1.1 400 no\r\n\r\n")
        drips("")(connection)

    begin = time.monotonic()
    assert failure(folder, respond, timeout_s=1.0)[0] == "E604"
    assert time.monotonic() - begin < 8


def test_a_placeholder_key_may_occur_in_a_sample(folder, monkeypatch):
    monkeypatch.setenv("HOSTILE_KEY", "EMPTY")
    with raw_server(sends(answer(choice(text="EMPTY")))) as (url, seen):
        [[sample]] = generate(folder, url)
    assert sample.text == "EMPTY"
    assert b"Bearer EMPTY" in b"".join(seen)


@pytest.mark.parametrize("key", ["", "sk-1\nX-Other: 1", "sk-1\n", "schlüssel"])
def test_an_unusable_key_is_not_quoted(key, folder, monkeypatch):
    monkeypatch.setenv("HOSTILE_KEY", key)
    with pytest.raises(UserError, match="E606") as caught:
        generate(folder, "http://127.0.0.1:9/v1")
    assert not key or key.strip() not in str(caught.value)
