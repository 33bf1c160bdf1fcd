"""What holds for every test: no network, quiet libraries, one thread so that timings and bits are steady."""

import os
import signal
import socket

import pytest
from hypothesis import settings

from tests.golden import Golden

# a machine that does other things too is no reason to fail
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
os.environ.update(
    OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1"
)

# a shell makes what it starts in the background deaf to Ctrl-C, and what the tests start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

_LOCAL = ("127.", "::1", "localhost")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden texts that tests compare with")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares what people read (errors, tables, help) with the text beside the test; see `tests/golden.py`."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    return Golden(request, folder)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that would reach past this machine fails at once, here as on a machine with a network."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(_LOCAL):
            raise OSError(f"a test tried to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
