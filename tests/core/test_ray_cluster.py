"""What is known about a Ray cluster before anything connects to it. Ray itself is not needed."""

import socket
import threading

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.ray_cluster import ADDRESS, WAIT, unreachable, uses_ray, wait_limit
from astro_factory.stages import evaluate, sft


@pytest.mark.parametrize("address", [None, "", "auto", "local"])
def test_a_cluster_of_this_machine_is_not_looked_for(monkeypatch, address):
    monkeypatch.delenv(ADDRESS, raising=False)
    if address is not None:
        monkeypatch.setenv(ADDRESS, address)
    assert unreachable(1) is None


def test_a_head_that_listens(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=server.accept, daemon=True).start()
        monkeypatch.setenv(ADDRESS, f"127.0.0.1:{server.getsockname()[1]}")
        assert unreachable(10) is None


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:9", "the Ray cluster at 127.0.0.1:9 cannot be reached: Connection refused"),
        ("ray://head:10001", "RAY_ADDRESS is 'ray://head:10001', which is not the address of a head node"),
        ("head", "RAY_ADDRESS is 'head', which is not"),
        ("head:port", "RAY_ADDRESS is 'head:port', which is not"),
        ("head:70000", "RAY_ADDRESS is 'head:70000', which is not"),
    ],
)
def test_a_head_that_cannot_be_reached(monkeypatch, address, words):
    monkeypatch.setenv(ADDRESS, address)
    found = unreachable(10, "W112")
    assert found and found.code == "W112" and found.cause.startswith(words)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number_of_seconds(monkeypatch, text):
    monkeypatch.setenv(WAIT, text)
    with pytest.raises(UserError, match="E641"):
        wait_limit()


def test_which_stages_run_on_a_cluster():
    fields = {"kind": "sft", "model": "m", "data": "d", "learning_rate": 1e-5}
    assert not uses_ray(sft.Config(**fields))
    assert uses_ray(sft.Config(**fields, launch={"backend": "ray"}))
    assert "backend" in evaluate.Config.model_fields
