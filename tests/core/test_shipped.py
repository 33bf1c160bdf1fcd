"""Shipped specs and templates: found where they are, copied whole, never over a user's files."""

import pytest

from astro_factory.core import shipped
from astro_factory.core.errors import UserError


def relative_files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_workspace_holds_everything_shipped(tmp_path):
    target = tmp_path / "deep" / "my-problems"
    written = shipped.make_workspace(target)
    assert {str(path.relative_to(target)) for path in written} == relative_files(target)
    for name in ("specs", "templates"):
        assert relative_files(target / name) == relative_files(shipped.shipped_folder(name))
    assert (target / "specs/my_problems.yaml").is_file()


def test_workspace_may_be_an_empty_folder(tmp_path):
    assert shipped.make_workspace(tmp_path)


@pytest.mark.parametrize("occupy", [lambda p: p.write_text("mine"), lambda p: (p / "notes").mkdir(parents=True)])
def test_workspace_spares_what_is_there(tmp_path, occupy):
    target = tmp_path / "mine"
    occupy(target)
    with pytest.raises(UserError) as caught:
        shipped.make_workspace(target)
    assert str(caught.value) == f"E154 {target} exists and is not an empty folder; name a new folder"
