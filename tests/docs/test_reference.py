"""The reference is complete: generated pages are current, and hold every command, field, code and JSON shape."""

import re
from pathlib import Path

import pytest

from astro_factory.cli.main import GROUPS
from astro_factory.json_shapes import JSON_SHAPES
from astro_factory.spec.sections import DOCUMENTATION
from astro_factory.stages import KINDS
from docs.generate import PAGES, REFERENCE, page_text

ROOT = Path(__file__).parents[2]
COMMANDS = [name for names in GROUPS.values() for name in names]


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_current(name):
    assert (REFERENCE / name).read_text(encoding="utf-8") == page_text(name), "run `make reference` and commit"


def headings(page: str) -> set[str]:
    text = (REFERENCE / page).read_text(encoding="utf-8")
    return {line.strip("` ") for line in re.findall(r"^##+ (.+?)(?: \{.*\})?$", text, re.MULTILINE)}


def test_every_command_has_a_section():
    assert headings("cli.md") == set(COMMANDS)


def test_every_kind_and_key_of_a_spec_has_a_place():
    text = (REFERENCE / "spec.md").read_text(encoding="utf-8")
    assert not [key for key in DOCUMENTATION if f"`{key}`" not in text]
    several = {section: kinds for section, kinds in KINDS.items() if len(kinds) > 1}
    assert headings("spec.md") >= {f"{section}: {kind}" for section, kinds in several.items() for kind in kinds}


def test_no_field_of_a_spec_lacks_its_documentation():
    rows = re.findall(
        r"^\| (`\w+`) \| .* \| (.*) \|$", (REFERENCE / "spec.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows and not [field for field, text in rows if not text.strip()]


def test_every_json_shape_has_a_section():
    assert headings("json.md") >= set(JSON_SHAPES)


def test_every_command_with_json_has_a_shape():
    """`publish` prints what `build` does."""
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    with_json = {part.split("\n")[0] for part in parts if "`--json`" in part}
    shapes = {name.split()[0] for name in JSON_SHAPES}
    assert with_json - shapes == {"publish"}


def test_every_code_that_the_package_raises_is_explained():
    raised = {
        code
        for path in (ROOT / "astro_factory").rglob("*.py")
        for code in re.findall(r"""["']([EW]\d{3})["']""", path.read_text(encoding="utf-8"))
    }
    explained = {heading[:4] for heading in headings("errors.md")}
    assert raised and raised <= explained
