"""The site builds, and every link and anchor in it leads somewhere."""

import subprocess
from pathlib import Path

import pytest

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
