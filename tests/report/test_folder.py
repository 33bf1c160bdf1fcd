"""The report as a folder: everything is in it, and a browser finds it from `file://`."""

import json
import re
from urllib.parse import quote

import pytest

from astro_factory.report import folder as folder_module
from astro_factory.report.folder import write_folder
from astro_factory.report.page import EVERYTHING, sections_of
from tests.report.browser import open_browser
from tests.report.test_browser import settle, show, text_of
from tests.report.test_page import data_in
from tests.report.workspace import built, make_store, samples

PART = re.compile(r'part\("(\w+)", "([\w+/=]+)"\);\n')


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    make_store(root, list(samples({"astro_rl": ["only here", "\x1b</script>"]})))
    return built(root)


@pytest.fixture(scope="module")
def report(spec, tmp_path_factory):
    """Three parts of samples, several of trees."""
    place = tmp_path_factory.mktemp("out") / "r"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_module, "PART_CHARS", 2000)
        write_folder(spec, place)
    return place


def test_page_and_parts_hold_everything(spec, report):
    found = data_in((report / "index.html").read_text())
    parts = {}
    for path in (report / "data").iterdir():
        name, data = PART.fullmatch(path.read_text()).groups()
        assert path.stem == name
        parts |= data_in(f'<script type="application/octet-stream" id="data-{name}">{data}</script>')
    everything = json.loads(json.dumps(sections_of(spec, EVERYTHING)))
    sizes = {}
    for view in ("samples", "trees"):
        for stage in found[view]:
            held = stage.pop("parts")
            own = [parts.pop(f"{held['name']}_{number}") for number in range(len(held["starts"]))]
            sizes[view] = len(own)
            if view == "trees":
                stage["trees"] = [tree for part in own for tree in part]
            else:
                stage["columns"] |= {name: [value for part in own for value in part[name]] for name in own[0]}
    assert (found, parts) == (everything, {}) and min(sizes.values()) > 1


def test_parts_of_an_earlier_report_go(spec, report, tmp_path):
    (tmp_path / "r/data").mkdir(parents=True)
    for name in ("samples_7_9.js", "mine.js"):
        (tmp_path / "r/data" / name).write_text("")
    write_folder(spec, tmp_path / "r")
    assert sorted(path.name for path in (tmp_path / "r/data").iterdir()) == [
        "mine.js", "samples_0_0.js", "trees_0_0.js"
    ]  # fmt: skip


def test_a_browser_finds_the_parts(report):
    driver = open_browser()
    try:
        for view in ("pipeline", "comparison", "samples", "trees", "training", "data"):
            show(driver, report / "index.html", view)
            assert "cannot be drawn" not in text_of(driver) and driver.get_log("browser") == []
        show(driver, report / "index.html", f"samples?text={quote('only here')}")
        assert "\n1 sample\n" in text_of(driver) and "only here" in text_of(driver)
        show(driver, report / "index.html", "trees?tree=p3")
        assert "p3 (" in text_of(driver) and "Node sequence: 0 →" in text_of(driver)
        for part in (report / "data").glob("trees_*.js"):
            part.rename(part.with_suffix(".gone"))
        driver.get("about:blank")
        driver.get(f"{(report / 'index.html').as_uri()}#trees")
        settle(driver, "trees")
        assert "trees_0_0.js is missing beside this page" in text_of(driver)
    finally:
        driver.quit()
