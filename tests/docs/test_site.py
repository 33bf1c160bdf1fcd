"""The site builds, and every link and anchor in it leads somewhere."""

import re
import subprocess
from pathlib import Path

import pytest

from astro_factory.cli.main import GROUPS

ROOT = Path(__file__).parents[2]


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8") + (ROOT / "docs/adr/index.md").read_text("utf-8")
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert not [str(page) for page in pages if page.name not in navigation]


@pytest.mark.slow
def test_site_builds_strictly():
    """The generator has an environment of its own, because the site needs nothing of ours."""
    program = ROOT / ".venv-docs/bin/zensical"
    if not program.exists():
        pytest.skip("there is no .venv-docs; `make docs-setup` makes it")
    result = subprocess.run(
        [program, "build", "--strict", "--clean", "-f", "mkdocs.yml"], cwd=ROOT, capture_output=True
    )
    assert result.returncode == 0, result.stdout.decode()[-8000:]


def test_the_summary_for_assistants_links_to_pages():
    """docs/llms.txt has the form of https://llmstxt.org: a title, a summary, sections of links."""
    text = (ROOT / "docs/llms.txt").read_text(encoding="utf-8")
    assert text.startswith("# astro-factory\n\n> ")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 8 and not [link for link in links if not (ROOT / "docs" / link).is_file()]


def test_the_order_of_use_names_commands_that_exist():
    page = (ROOT / "docs/guide/commands.md").read_text(encoding="utf-8")
    commands = {name for names in GROUPS.values() for name in names}
    rows = re.findall(r"^\| (\d+) \| `astro-factory ([a-z-]+)", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 16))
    assert {name for _, name in rows} <= commands
