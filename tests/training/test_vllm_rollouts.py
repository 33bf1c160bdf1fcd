"""What is checked of a vLLM server before training sends it weights; the server is a stand-in with vLLM's answers."""

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from astro_factory.core.errors import UserError
from astro_factory.stages.grpo import Config
from astro_factory.training import rollout_server
from astro_factory.training.rollout_server import check_server, server_command

SOUND = {
    "model_config": {"max_model_len": 64, "logprobs_mode": "processed_logprobs"},
    "weight_transfer_config": {"backend": "nccl"},
}


def config(**rollouts) -> Config:
    fields = {"kind": "grpo", "model": "base", "problems": "p", "steps": 1, "prompts_per_step": 4, "group_size": 4}
    fields |= {"learning_rate": 1e-3, "max_new_tokens": 32, "rollouts": {"kind": "vllm"} | rollouts}
    return Config(**fields)


@pytest.fixture
def serve(monkeypatch):
    """Starts a server with a status and a body for `/server_info`; returns its address."""
    monkeypatch.setattr(rollout_server, "_has_gpu", lambda: True)
    monkeypatch.setattr(rollout_server, "_installed_version", lambda: "0.32.1")
    servers = []

    def start(status: int, body: object, version: str = "0.32.0+cpu") -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                assert self.path in ("/server_info?config_format=json", "/version")
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps({"version": version} if self.path == "/version" else body).encode())

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_sound_server_passes(serve, tmp_path):
    settings = config(mode="server", server_url=serve(200, {"vllm_config": SOUND}))
    check_server(settings, settings.rollouts, tmp_path)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {}),
        (503, {}),
        (200, {}),
        (200, {"vllm_config": SOUND | {"weight_transfer_config": None}}),
        (200, {"vllm_config": SOUND | {"model_config": SOUND["model_config"] | {"max_model_len": 32}}}),
        (200, {"vllm_config": SOUND | {"model_config": SOUND["model_config"] | {"logprobs_mode": "raw_logprobs"}}}),
    ],
    ids=["no-development-mode", "busy", "another-form", "no-weight-transfer", "too-short", "other-logprobs"],
)
def test_a_server_that_cannot_take_part_is_named(serve, tmp_path, status, body, golden):
    url = serve(status, body)
    settings = config(mode="server", server_url=url, max_model_len=128)
    with pytest.raises(UserError) as caught:
        check_server(settings, settings.rollouts, tmp_path)
    golden(str(caught.value).replace(url, "URL").replace(url.rpartition(":")[2], "PORT"))


def test_a_server_of_another_version_is_named_with_both(serve, tmp_path, golden):
    url = serve(200, {"vllm_config": SOUND}, version="0.31.0")
    settings = config(mode="server", server_url=url)
    with pytest.raises(UserError, match="E621") as caught:
        check_server(settings, settings.rollouts, tmp_path)
    golden(str(caught.value).replace(url, "URL"))


def test_the_command_holds_what_the_rollouts_need():
    rollouts = config(mode="server", server_url="http://h:8100", max_model_len=128, tensor_parallel_size=2).rollouts
    assert server_command(rollouts, "org/model") == (
        "VLLM_NO_USAGE_STATS=1 VLLM_SERVER_DEV_MODE=1 vllm serve org/model --weight-transfer-config "
        """'{"backend": "nccl"}' --logprobs-mode processed_logprobs --generation-config vllm --max-model-len 128 """
        "--tensor-parallel-size 2 --port 8100"
    )


@pytest.mark.parametrize(("url", "port"), [("http://h", 80), ("https://h", 443), ("http://h:8000", None)])
def test_the_command_listens_where_training_asks(url, port):
    words = server_command(config(mode="server", server_url=url).rollouts, "org/model").split()
    assert words[-2:] == ["--port", str(port)] if port else "--port" not in words


@pytest.fixture
def other_service():
    """The address of something that is no web server."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connected, _ = server.accept()
                    connected.recv(1 << 16)
                    connected.sendall(b"SSH-2.0-OpenSSH\r\n")
                    connected.close()

        threading.Thread(target=greet, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_an_address_of_another_service_is_a_mistake_of_the_user(other_service, serve, tmp_path):
    settings = config(mode="server", server_url=other_service)
    with pytest.raises(UserError, match=r"E621 the vLLM server at \S+ cannot be reached: SSH-2.0"):
        check_server(settings, settings.rollouts, tmp_path)
    with pytest.raises(UserError, match="E627"), rollout_server.server_of(other_service):
        rollout_server.served_model(other_service)


def test_a_server_that_is_not_there_and_a_process_without_gpu(tmp_path, monkeypatch, golden):
    settings = config(mode="server", server_url="http://127.0.0.1:9")
    with pytest.raises(UserError, match="E621") as caught:
        check_server(settings, settings.rollouts, tmp_path)
    golden(str(caught.value))
    monkeypatch.setattr(rollout_server, "_has_gpu", lambda: True)
    with pytest.raises(UserError, match=r"E621 the vLLM server at http://127.0.0.1:9 cannot be reached") as caught:
        check_server(settings, settings.rollouts, tmp_path)
    assert server_command(settings.rollouts, str(tmp_path)) in caught.value.diagnostics[0].remedy


@pytest.mark.parametrize(
    ("rollouts", "cause"),
    [
        ({"mode": "server"}, "needs server_url"),
        ({"server_url": "http://host:8000"}, "a colocated engine has no server"),
        ({"mode": "server", "server_url": "http://host:8000/v1/"}, "the server itself, without /v1"),
        ({"max_model_len": 32}, "leaves no room for a prompt"),
        ({"tensor_parallel_size": 2}, r"must divide the processes of a node \(1\)"),
    ],
)
def test_settings_that_contradict_each_other(rollouts, cause):
    with pytest.raises(ValueError, match=cause):
        config(**rollouts)
