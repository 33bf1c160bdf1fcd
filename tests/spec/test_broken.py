"""Every broken spec beside its expected errors, all at once: `broken/x.yaml` and `broken/x.txt`."""

import re
from pathlib import Path

import pytest

from astro_factory.core.errors import UserError
from astro_factory.spec import compile_spec

HERE = Path(__file__).parent
SPECS = sorted(HERE.glob("broken/*.yaml"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_broken_spec(spec, monkeypatch):
    monkeypatch.chdir(HERE)
    with pytest.raises(UserError) as caught:
        compile_spec(spec.relative_to(HERE))
    assert str(caught.value) + "\n" == spec.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_code_of_the_room_is_shown():
    """A code that the room can give stands in an expected text, or in a test of what a spec alone cannot show."""
    sources = "".join(path.read_text(encoding="utf-8") for path in Path("astro_factory/spec").glob("*.py"))
    shown = [*HERE.glob("broken/*.txt"), HERE / "test_compose.py", HERE / "test_sweeps.py", HERE / "yaml_cases.json"]
    codes = {code for path in shown for code in re.findall(r"E\d{3}", path.read_text(encoding="utf-8"))}
    assert set(re.findall(r'"(E\d{3})"', sources)) <= codes
