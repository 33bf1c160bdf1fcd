"""Broken specs and templates with their expected errors: `broken_specs/x/y.yaml` and `y.txt`.

A spec whose first line is `# astro-factory check --set a.b=c` is checked with these options. A template in
`templates/broken` is checked as the template of `wording.yaml`. Each has one error, except for those in `many/`.
"""

import re
import shlex
from pathlib import Path

import pytest

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.spec import compile_spec

HERE = Path(__file__).parents[1] / "broken_specs"
HELPERS = ("parts", "wording.yaml")
"""Valid specs that the broken ones include."""
CASES = sorted(
    path.relative_to(HERE)
    for pattern in ("**/*.yaml", "templates/broken/*.jinja")
    for path in HERE.glob(pattern)
    if path.relative_to(HERE).parts[0] not in HELPERS
)

_UNLISTED = re.compile(r"\(\d+ more\)")
"""How many choices a list leaves out: it grows with each template that the package ships."""


def errors_of(case: Path) -> list[Diagnostic]:
    """The errors of `astro-factory check` for a case."""
    if case.suffix == ".jinja":
        case, options = Path("wording.yaml"), ["--set", f"templates.words={case.relative_to('templates')}"]
    else:
        first = case.read_text(encoding="utf-8").partition("\n")[0]
        options = shlex.split(first.removeprefix("# astro-factory check")) if first.startswith("# astro-f") else []
    given = list(zip(options[::2], options[1::2], strict=True))
    profile = next((value for name, value in given if name == "--profile"), None)
    with pytest.raises(UserError) as caught:
        compile_spec(case, profile=profile, sets=[value for name, value in given if name == "--set"])
    return caught.value.diagnostics


@pytest.mark.parametrize("case", CASES, ids=str)
def test_broken_spec(case, monkeypatch, pytestconfig):
    monkeypatch.chdir(HERE)
    found = errors_of(case)
    text, expected = _UNLISTED.sub("(N more)", "\n".join(map(str, found)) + "\n"), case.with_suffix(".txt")
    if pytestconfig.getoption("--update-golden"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert all(diagnostic.place and diagnostic.cause and diagnostic.remedy for diagnostic in found)
    assert all(diagnostic.excerpt for diagnostic in found if diagnostic.place.line)
    assert case.parts[0] == "many" or len(found) == 1


def test_every_case_is_broken_in_its_own_way():
    assert len(CASES) >= 80
    expected = [(HERE / case).with_suffix(".txt").read_text(encoding="utf-8").partition(" ")[2] for case in CASES]
    assert len(set(expected)) == len(expected)
