"""Rollouts from a server, up to the transfer of weights.

TRL's client, the engine, the trainer and the loss are the real ones. A server of this process speaks vLLM's routes, and
a queue takes the place of NCCL, which needs GPUs.
"""

import pytest
import requests
import trl.generation.vllm_client as client
import trl.generation.vllm_generation as generation

from astro_factory.core.errors import UserError
from astro_factory.stages import grpo
from astro_factory.stages.grpo import Config, run
from astro_factory.training import rollout_server, round_sampling
from astro_factory.training.rollout_server import server_of
from astro_factory.training.rounds_ahead import RoundsAhead
from tests.training.stand_in_server import VERSION, StandIn, Wire
from tests.training.tiny import contents, context, grpo_fields, make_model, make_problems

SIZE = 16
"""Responses of a round."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    return {"base": make_model(root / "base"), "problems": make_problems(root, 6)}


@pytest.fixture
def serve(inputs, monkeypatch):
    """Starts a server. This process acts as if it had vLLM, a GPU, and NCCL between the two."""
    wire, servers = Wire(), []
    monkeypatch.setattr(rollout_server, "_has_gpu", lambda: True)
    monkeypatch.setattr(rollout_server, "_installed_version", lambda: VERSION)
    for module in (client, generation):
        monkeypatch.setattr(module, "is_vllm_available", lambda *_, **__: True)
    for name in ("_HAS_STATEFUL_TRAINER_ENGINE", "_HAS_RESET_PREFIX_CACHE_SUCCESS"):
        monkeypatch.setattr(client, name, True)
    connect = client.VLLMClient.init_communicator
    monkeypatch.setattr(client.VLLMClient, "init_communicator", lambda self, device: connect(self, "cuda"))
    monkeypatch.setattr(client, "get_ip", lambda: "127.0.0.1", raising=False)
    monkeypatch.setattr(client, "open_trainer_endpoint", lambda info: wire, raising=False)

    def broadcast(iterator, group, src, post_iter_func):
        for item in iterator:
            group.put((item[0], post_iter_func(item).detach().clone()))

    monkeypatch.setattr(client, "packed_nccl_broadcast_producer", broadcast, raising=False)

    def start(dies_after: int | None = None) -> StandIn:
        servers.append(StandIn(inputs["base"], wire, dies_after))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def config(server: StandIn, **changes) -> Config:
    rollouts = {"kind": "vllm", "mode": "server", "server_url": server.url, "retries": 1}
    return Config(**grpo_fields() | {"steps": 3, "rollouts": rollouts, "save_every": 1} | changes)


def curve(ctx, name: str) -> list[float]:
    return [values[name] for _, values in ctx.events.metrics if name in values]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"max_replacements": 1},
        pytest.param({"adapter": {"kind": "lora", "rank": 4}}, marks=pytest.mark.nightly),
        pytest.param({"precision": "bf16"}, marks=pytest.mark.nightly),
    ],
)
def test_a_server_samples_from_the_weights_of_each_round(serve, inputs, tmp_path, changes):
    server = serve()
    run(ctx := context(tmp_path, inputs), config(server, learning_rate=1e-2, **changes))
    assert len(server.updates) == 3 and server.completions >= 3 * SIZE
    updating = ["/start_weight_update", "/update_weights", "/finish_weight_update", "/reset_prefix_cache"]
    assert [path for path in server.calls if path in updating] == 3 * updating
    assert server.calls.count("/init_weight_transfer_engine") == 1
    assert max(curve(ctx, "sampling/mismatch")) < (1e-4 if changes != {"precision": "bf16"} else 0.05)
    assert contents(ctx.out) != contents(inputs["base"])


@pytest.mark.slow
def test_a_server_that_misses_an_update_shows_in_the_mismatch(serve, inputs, tmp_path):
    server = serve()
    receive = server._receive

    def miss(announced):
        if len(server.updates) != 1:
            return receive(announced)
        for _ in announced["names"]:
            server.wire.get(timeout=60)
        server.updates.append([])

    server._receive = miss
    run(ctx := context(tmp_path, inputs), config(server, learning_rate=1e-2))
    found = curve(ctx, "sampling/mismatch")
    assert found[0] < 1e-4 and found[2] < 1e-4 and found[1] > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, pytest.param(0, marks=pytest.mark.nightly)])
def test_the_same_command_resumes_after_a_server_that_died(serve, inputs, tmp_path, monkeypatch, steps):
    """The bytes are those of a run that never stopped; one step off-policy, of one whose rollouts do not overlap."""
    changes = {"off_policy_steps": steps}
    if steps:
        monkeypatch.setattr(round_sampling, "RoundsAhead", lambda overlaps: RoundsAhead(overlaps=False))
    run(whole := context(tmp_path / "whole", inputs), config(serve(), **changes))
    if steps:
        monkeypatch.setattr(round_sampling, "RoundsAhead", RoundsAhead)
        assert curve(whole, "sampling/age") == [0, 1, 1]
    server = serve(dies_after=(2 + steps) * SIZE - 3)
    with pytest.raises(UserError, match=r"E627 the vLLM server at http://127\S+ was lost .* 2 attempts"):
        run(context(tmp_path / "parts", inputs), config(server, **changes))
    run(rest := context(tmp_path / "parts", inputs), config(serve(), **changes))
    assert rest.events.steps[0] == 2
    assert contents(rest.out) == contents(whole.out)


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (requests.ConnectionError("connection refused"), "connection refused"),
        (Exception("Request failed: 500, out of memory"), "Request failed: 500"),
        (UserError.of("E626", "there is no server at http://h:1", ""), "there is no server"),
    ],
)
def test_a_server_that_is_lost_during_a_transfer_is_named(cause, text):
    expected = f"E627 the vLLM server at http://h:1 was lost during training: .*{text}"
    with pytest.raises(UserError, match=expected), server_of("http://h:1"):
        raise cause


@pytest.mark.parametrize("cause", [RuntimeError("CUDA error"), UserError.of("E604", "refused", "")])
def test_other_errors_stay_what_they_are(cause):
    with pytest.raises(type(cause)) as caught, server_of("http://h:1"):
        raise cause
    assert caught.value is cause


class Checked(Exception):
    """The server was asked."""


class Started(Exception):
    """Training began, or its processes did."""


@pytest.mark.parametrize(("backend", "in_builder", "in_training"), [("local", True, False), ("ray", False, True)])
def test_a_server_is_checked_where_training_reaches_it(tmp_path, monkeypatch, backend, in_builder, in_training):
    """The machine that builds with a Ray cluster need not have a GPU, nor be in the network of the server."""

    def ends_with(error):
        def function(*_):
            raise error

        return function

    monkeypatch.setattr(grpo, "check_server", ends_with(Checked))
    for name in ("run_distributed", "make_task"):
        monkeypatch.setattr(grpo, name, ends_with(Started))
    rollouts = {"kind": "vllm", "mode": "server", "server_url": "http://h:8000"}
    settings = Config(**grpo_fields() | {"rollouts": rollouts, "launch": {"processes": 2, "backend": backend}})
    ctx = context(tmp_path, {"base": tmp_path, "problems": tmp_path})
    for is_training, is_checked in ((False, in_builder), (True, in_training)):
        monkeypatch.setattr(grpo, "is_training_process", lambda answer=is_training: answer)
        with pytest.raises(Checked if is_checked else Started):
            run(ctx, settings)
