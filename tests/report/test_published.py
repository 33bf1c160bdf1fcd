"""The report of a publication: only what is published, the same bytes everywhere, and drawn by a real browser."""

from dataclasses import replace

import pytest

from astro_factory.core.plans import Plan
from astro_factory.report.published import published_report
from astro_factory.store import Store
from tests.report.browser import open_browser
from tests.report.test_browser import show, text_of
from tests.report.test_page import data_in
from tests.report.workspace import make_store, planned

PUBLISH = """\
publish:
  data: {repo: "file:out/data", artifacts: [test, traces, report]}
  model: {repo: "file:out/model", artifact: astro_rl, report: report}
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> tuple[Plan, Store]:
    root = tmp_path_factory.mktemp("published")
    store = make_store(root)
    with (root / "spec.yaml").open("a") as file:
        file.write(PUBLISH)
    return planned(root), store


def page_of(plan: tuple[Plan, Store], name: str, **provenance: object) -> str:
    made, store = plan
    results = {n: item.result for n, item in made.nodes.items() if item.result}
    node = made.graph.nodes[f"publish.{name}"]
    folders = {source: store.output(results[source]) for source in node.references}
    if provenance:
        results = {n: replace(result, provenance=provenance) for n, result in results.items()}
    return published_report(made.graph, node, results, folders)


def test_data_are_shown_as_published(plan):
    found = data_in(page_of(plan, "data"))
    assert found["overview"]["views"] == ["pipeline", "comparison", "samples", "data"]
    stages = {stage["name"]: stage for stage in found["pipeline"]}
    assert {name for name, stage in stages.items() if stage["built"]} == {"test", "traces", "report"}
    assert stages["trees"]["status"] == "recorded" and stages["traces"]["layer"] > stages["trees"]["layer"]
    assert ["template", "reflection/countdown.jinja"] in stages["traces"]["config"]
    assert not {"seconds", "started", "versions"} & set().union(*(stage.keys() for stage in stages.values()))
    assert found["samples"][0]["problems"]["question"][0].startswith("numbers")


def test_a_model_shows_results_but_no_texts(plan):
    text = page_of(plan, "model")
    found = data_in(text)
    assert found["overview"]["views"] == ["pipeline", "comparison"] and found["samples"] == found["trees"] == []
    assert "target 17" not in str(found) and "Go back to" not in str(found["comparison"])
    assert set(found["comparison"][0]["report"]["arms"]) == {"direct_sft", "astro_sft", "astro_rl"}


@pytest.mark.parametrize("name", ["data", "model"])
def test_it_depends_on_no_time_and_no_machine(plan, name):
    text = page_of(plan, name)
    assert text == page_of(plan, name)
    assert text == page_of(plan, name, seconds=9, started="2027-01-01T00:00:00", versions={"torch": "9"}, metrics=[])


def test_a_browser_draws_every_view(plan, tmp_path):
    driver = open_browser()
    try:
        for name in ("data", "model"):
            text, file = page_of(plan, name), tmp_path / f"{name}.html"
            file.write_text(text)
            for view in data_in(text)["overview"]["views"]:
                driver.get_log("browser")
                show(driver, file, view)
                assert "cannot be drawn" not in text_of(driver) and driver.get_log("browser") == []
                linked = driver.execute_script("return document.querySelectorAll('main a[href^=\"#samples\"]').length")
                if view == "comparison":
                    assert bool(linked) is (name == "data"), "no link leads to a view that is missing"
        show(driver, file, "pipeline")
        assert "stages led to this publication" in text_of(driver)
    finally:
        driver.quit()
