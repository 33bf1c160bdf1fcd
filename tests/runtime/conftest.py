"""A bench with the kinds of these tests."""

import pytest

from astro_factory.stages import KINDS
from tests.runtime.bench import TEST_KINDS, Bench


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    for kind, module in TEST_KINDS.items():
        monkeypatch.setitem(KINDS["stages"], kind, module)
    return Bench(tmp_path / "bench")
