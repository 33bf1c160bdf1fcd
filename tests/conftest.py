"""Setup for every test: no network, quiet libraries, and one thread, so that timings and bits are reproducible."""

import os
import signal
import socket

import pytest
from hypothesis import settings

from tests.golden import Golden

# a busy machine must not fail a test
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
os.environ.update(
    OMP_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
)

# a shell starts background jobs with SIGINT ignored, and the processes of the tests would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

_LOCAL = ("127.", "::1", "localhost")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden texts that tests compare with")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares errors, tables and help with the golden file next to the test; see `tests/golden.py`."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    return Golden(request, folder)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to another host fails at once, whether or not the machine has a network."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(_LOCAL):
            raise OSError(f"a test tried to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
