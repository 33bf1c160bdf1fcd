"""A Hub on localhost for the client of this process, and a clock that does not make tests wait."""

import pytest

from tests.hub.server import local_hub


@pytest.fixture
def hub(monkeypatch):
    with local_hub(monkeypatch) as server:
        yield server


@pytest.fixture
def naps(monkeypatch) -> list[float]:
    """The seconds that would have been slept."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept
