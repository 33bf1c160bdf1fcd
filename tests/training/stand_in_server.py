"""A server with the routes of `vllm serve` that training uses, on a real model whose weights it is sent.

Tensors come over a queue in the place of NCCL: the request that announces them ends when all have arrived, as in vLLM.
"""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import AutoTokenizer

from astro_factory.engines.base import Request
from astro_factory.engines.sampler import Sampler
from astro_factory.training.loading import load_causal_model

VERSION = "0.32.0"


class Wire(queue.Queue):
    """The tensors on their way from training to the server."""

    def __init__(self) -> None:
        super().__init__()
        self.group = SimpleNamespace(store=None, socket=None)  # TRL clears them when it closes the connection


class StandIn:
    """A running server. `dies_after`: how many completions it gives before it is gone."""

    def __init__(self, folder: Path, wire: Wire, dies_after: int | None = None):
        self.model = load_causal_model(folder)
        self.sampler = Sampler(self.model, AutoTokenizer.from_pretrained(folder))
        self.wire, self.dies_after = wire, dies_after
        self.updates: list[list[str]] = []
        """Names of the tensors of each update."""
        self.calls: list[str] = []
        """Paths of all requests but completions, in order."""
        self.completions = 0
        self._updating = False
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str, body: dict) -> dict | None:
        """What the server answers; None if it dies."""
        if path == "/v1/completions":
            return self._complete(body)
        self.calls.append(path)
        model = {"id": "policy", "max_model_len": self.sampler.max_model_len}
        config = {"max_model_len": self.sampler.max_model_len, "logprobs_mode": "processed_logprobs"}
        answers = {
            "/health": {},
            "/version": {"version": VERSION},
            "/v1/models": {"data": [model]},
            "/server_info": {"vllm_config": {"model_config": config, "weight_transfer_config": {"backend": "nccl"}}},
            "/get_world_size": {"world_size": 1},
            "/reset_prefix_cache": {"success": True},
            "/init_weight_transfer_engine": {},
        }
        if path in answers:
            return answers[path]
        assert path in ("/start_weight_update", "/update_weights", "/finish_weight_update"), path
        with self._lock:  # vLLM keeps requests and updates apart only if the client does
            if path == "/update_weights":
                self._receive(body["update_info"])
            else:
                assert self._updating == (path == "/finish_weight_update")
                self._updating = not self._updating
        return {}

    @torch.no_grad()
    def _receive(self, announced: dict) -> None:
        assert self._updating
        weights = dict(self.model.named_parameters())
        for name, dtype, shape in zip(*(announced[key] for key in ("names", "dtype_names", "shapes")), strict=True):
            found, value = self.wire.get(timeout=60)
            assert (found, str(value.dtype), list(value.shape)) == (name, f"torch.{dtype}", shape)
            weights.pop(name).copy_(value)
        assert not weights, "every weight is sent"
        self.updates.append(announced["names"])

    def _complete(self, body: dict) -> dict | None:
        with self._lock:
            assert not self._updating, "a request in the middle of an update"
            if self.completions == self.dies_after:
                return None
            self.completions += 1
            prompt, seed = tuple(body["prompt"]), body["seed"]
            limits = body["max_tokens"], body["temperature"]
            [[sample]] = self.sampler.generate([Request(prompt, (seed,), *limits, processed_logprobs=True)])
        logprobs = {"tokens": [f"token_id:{one}" for one in sample.ids], "token_logprobs": sample.logprobs}
        ended = {"finish_reason": "length" if sample.finish == "length" else "stop", "stop_reason": None}
        return {"choices": [{"text": sample.text, "logprobs": logprobs} | ended]}

    def _handler(stand_in) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._respond({})

            def do_POST(self):
                length = int(self.headers["Content-Length"] or 0)
                self._respond(json.loads(self.rfile.read(length) or b"{}"))

            def _respond(self, body: dict) -> None:
                found = stand_in.answer(self.path.partition("?")[0], body)
                if found is None:
                    self.close_connection = True
                    return
                data = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        return Handler
