"""What a path leads to."""

import pytest

from astro_factory.core.files import kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [("file", "file"), ("folder", "folder"), ("nothing", None), ("x" * 300, None), ("a\0b", None), ("loop", None)],
)
def test_kind_of(tmp_path, name, kind):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    assert kind_of(tmp_path / name) == kind
