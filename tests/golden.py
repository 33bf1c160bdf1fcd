"""Golden texts: the wording of errors, tables and help is kept once, in a file next to the test.

    def test_unknown_engine(golden):
        error = ...
        assert error.code == "E601"       # what programs rely on is asserted in the test
        golden(str(error))                # what people read is compared with `test_engines.golden`

`python -m pytest --update-golden` (or `make golden`) rewrites the files; review the diff like code.
"""

from pathlib import Path

import pytest

_HEAD = "### "


class Golden:
    """Compares texts of one test with its section of `<test module>.golden`."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path | None):
        self._file = request.path.with_suffix(".golden")
        self._name = request.node.name
        self._update = bool(request.config.getoption("--update-golden"))
        self._folder = folder
        self._count = 0

    def __call__(self, text: str) -> None:
        """Compare; a second text of one test is its section `name #2`. The test's own folder reads as `TMP`."""
        self._count += 1
        name = self._name if self._count == 1 else f"{self._name} #{self._count}"
        found = text.rstrip("\n")
        if self._folder is not None:
            found = found.replace(str(self._folder), "TMP")
        sections = read(self._file)
        if self._update:
            self._file.write_text(written(sections | {name: found}), encoding="utf-8")
        else:
            assert name in sections, f"{self._file.name} has no section '{name}'; run pytest with --update-golden"
            assert found == sections[name]


def read(file: Path) -> dict[str, str]:
    """The sections of a golden file by their names."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    parts = (part.partition("\n") for part in ("\n" + text).split("\n" + _HEAD)[1:])
    return {name: body.rstrip("\n") for name, _, body in parts}


def written(sections: dict[str, str]) -> str:
    """A golden file with its sections in the order of their names."""
    return "\n".join(f"{_HEAD}{name}\n{body}\n" for name, body in sorted(sections.items()))
