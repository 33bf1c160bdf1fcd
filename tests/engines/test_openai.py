"""The client against a real HTTP server on this machine, which samples a tiny model."""

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from astro_factory.core.errors import UserError
from astro_factory.engines import Request, open_engine
from astro_factory.engines.config import OpenAIConfig
from astro_factory.engines.sampler import Sampler
from tests.engines.tiny import make_llama, make_tokenizer

REQUESTS = [Request((5, 6, 7), (1, 2, 3), 12, stop=("\n",)), Request((9,), (4,), 3, temperature=0.7)]


class Handler(BaseHTTPRequestHandler):
    """The completions endpoint; `server.faults` are answers to give before the true ones."""

    def do_POST(self):
        server, body = self.server, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.seen.append((self.path, self.headers.get("Authorization"), body["seed"]))
            fault = server.faults.pop(0) if server.faults else None
            if fault == "hang up":
                self.close_connection = True
                return
            status, answer = (fault != "hang" and fault) or (200, self.complete(body))
        if fault == "hang":
            time.sleep(1.0)
        data = json.dumps(answer).encode() if not isinstance(answer, bytes) else answer
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "0.01")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def complete(self, body):
        stop = tuple(body["stop"])
        request = Request(tuple(body["prompt"]), (body["seed"],), body["max_tokens"], body["temperature"], stop)
        [[sample]] = self.server.sampler.generate([request])
        named = body["return_tokens_as_token_ids"] and self.server.names_tokens
        choice = {
            "text": sample.text,
            "finish_reason": "length" if sample.finish == "length" else "stop",
            "stop_reason": "\n" if sample.finish == "stop" else None,
            "logprobs": {
                "tokens": [f"token_id:{i}" if named else f"w{i}" for i in sample.ids],
                "token_logprobs": sample.logprobs,
            },
        }
        return {"choices": [choice]}

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_tokenizer().save_pretrained(folder)
    return folder


@contextmanager
def listening(answer: bytes | None):
    """A port that accepts connections and sends an answer that is not HTTP, or with None accepts none."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
        if answer is None:
            found.close()
            yield port
            return

        def accept():
            with suppress(OSError):
                client, _ = found.accept()
                with client:
                    client.recv(1 << 16)
                    client.sendall(answer)

        thread = threading.Thread(target=accept)
        thread.start()
        yield port
        thread.join(30)


@contextmanager
def serving(folder, faults=(), names_tokens=True, **fields):
    """An engine and the server it talks to."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.faults, server.seen, server.lock = list(faults), [], threading.Lock()
    server.sampler, server.names_tokens = Sampler(make_llama(), make_tokenizer(), 4), names_tokens
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    fields = {"base_urls": [url, url + "/"], "model": "tiny", "max_model_len": 64, "backoff_s": 0.001} | fields
    try:
        with open_engine(OpenAIConfig(kind="openai", **fields), folder) as engine:
            yield engine, server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_samples_are_those_of_the_servers_model(folder):
    with serving(folder) as (engine, server):
        assert engine.generate(REQUESTS) == Sampler(make_llama(), make_tokenizer(), 4).generate(REQUESTS)
        assert sorted(server.seen) == [("/v1/completions", None, seed) for seed in (1, 2, 3, 4)]


def test_the_key_is_sent(folder, monkeypatch):
    monkeypatch.setenv("TINY_KEY", "abc")
    with serving(folder, api_key_env="TINY_KEY") as (engine, server):
        engine.generate(REQUESTS[1:])
        assert server.seen == [("/v1/completions", "Bearer abc", 4)]


FAULTS = [(429, {}), (503, b"busy"), (500, b""), "hang up", (200, b"not json")]


def test_overload_errors_and_lost_connections_are_waited_out(folder):
    with serving(folder, faults=FAULTS) as (engine, server):
        assert engine.generate(REQUESTS) == Sampler(make_llama(), make_tokenizer(), 4).generate(REQUESTS)
        assert len(server.seen) == 4 + len(FAULTS)


def test_a_server_that_hangs_is_asked_again(folder):
    with serving(folder, faults=["hang"], timeout_s=0.3) as (engine, server):
        assert engine.generate(REQUESTS[1:]) == Sampler(make_llama(), make_tokenizer(), 4).generate(REQUESTS[1:])
        assert len(server.seen) > 1


def test_nothing_waits_for_what_takes_longer(folder):
    with serving(folder, faults=["hang"]) as (engine, server):
        stream = engine.stream()
        stream.add("slow", REQUESTS[1])
        while not server.seen:
            time.sleep(0.01)
        stream.add("fast", REQUESTS[0])
        stream.add("nothing", Request((5,), (), 1))
        known = Sampler(make_llama(), make_tokenizer(), 4).generate(REQUESTS)
        assert stream.take() == [("nothing", [])]
        assert stream.take() == [("fast", known[0])]
        assert stream.take() == [("slow", known[1])]
        assert stream.take() == []


def failure(folder, code: str, **fields) -> str:
    with serving(folder, **fields) as (engine, server), pytest.raises(UserError, match=code) as caught:
        engine.generate(REQUESTS[1:])
    return str(caught.value).replace(str(server.server_port), "PORT")


def test_a_server_that_stays_away_is_named(folder, golden):
    golden(failure(folder, "E603", faults=[(503, b"busy")] * 9, retries=2))


@pytest.mark.parametrize(
    "answer", [None, b"", b"220 mail.example ESMTP\r\n"], ids=["refuses", "hangs up", "speaks no HTTP"]
)
def test_without_a_server_the_engine_does_not_open(folder, answer):
    """`retries` would take an hour."""
    with listening(answer) as port:
        urls = [f"http://127.0.0.1:{port}/v1"]
        config = OpenAIConfig(kind="openai", model="tiny", max_model_len=64, base_urls=urls, retries=60)
        with pytest.raises(UserError, match=f"E626 there is no server at {urls[0]} "):
            open_engine(config, folder)


def test_one_reachable_address_is_enough(folder):
    with serving(folder) as (_, server):
        urls = ["http://127.0.0.1:9/v1", f"http://127.0.0.1:{server.server_port}/v1"]
        config = OpenAIConfig(kind="openai", model="tiny", max_model_len=64, base_urls=urls, backoff_s=0.001)
        with open_engine(config, folder) as engine:
            assert len(engine.generate(REQUESTS[1:])) == 1


def test_the_log_shows_each_retry(folder, capfd):
    with serving(folder, faults=[(503, b"busy")]) as (engine, _):
        engine.generate(REQUESTS[1:])
    assert "/completions: HTTP 503; retry 1 of " in capfd.readouterr().err


REFUSALS = {401: b"no", 404: {"error": {"message": "no model 'tiny'"}}, 400: {"message": "too long"}}


@pytest.mark.parametrize(("status", "answer"), REFUSALS.items(), ids=REFUSALS)
def test_what_the_server_refuses_is_not_retried(status, answer, folder, golden):
    golden(failure(folder, "E604", faults=[(status, answer)]))


def test_a_server_without_token_ids_is_refused(folder, golden):
    golden(failure(folder, "E607", names_tokens=False))
