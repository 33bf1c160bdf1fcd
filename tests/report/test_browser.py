"""The report in a real browser: every view, at two widths, by keyboard, with what models can write."""

import json
import time
from urllib.parse import quote

import pytest

from astro_factory.report.filters import parse_filter
from astro_factory.report.page import write_report
from tests.report.browser import axe_script, open_browser
from tests.report.test_page import PIECES, PROSE
from tests.report.workspace import built, make_store, samples

VIEWS = ("pipeline", "comparison", "samples", "trees", "votes", "training", "data")
HOSTILE = [
    "<script>window.hacked = 1</script>",
    '</script><img src=x onerror="window.hacked = 1">',
    "<style>body { display: none }</style>",
    "\u202egnp.exe\u2066 \u200f bidi",
    "\x1b[31mred\x1b[0m \x07 \x00",
    "y" * 1_000_000,
    r"$\frac{1}{$ and $$\begin{matrix} $$ and \(\left( x \)",
    "${window.hacked = 1} {{ 7 * 7 }} `${window.hacked = 1}`",
    "<svg onload=window.hacked=1><foreignObject><iframe src=javascript:window.hacked=1>",
    "javascript:window.hacked=1\n" * 300,
]


@pytest.fixture(scope="module")
def driver():
    found = open_browser()
    yield found
    found.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("browser")
    hostile = {"astro_rl": HOSTILE, "direct_sft": HOSTILE[::-1]}
    make_store(root, list(samples(hostile)), question='<b onclick="x">\u202e $x^2$</b> numbers 4 10 3', judge="all")
    write_report(built(root), root / "r.html")
    return root / "r.html"


def show(driver, report, view, width=1600):
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    driver.get("about:blank")
    driver.get(f"{report.as_uri()}#{view}")
    settle(driver, view.partition("?")[0])


def settle(driver, view):
    for _ in range(200):
        if driver.execute_script("return document.documentElement.dataset.ready") == view:
            return
        time.sleep(0.05)
    raise AssertionError(f"the view {view} is not drawn: {driver.get_log('browser')}")


def text_of(driver):
    return driver.execute_script("return document.getElementById('main').innerText")


@pytest.mark.parametrize("width", [400, 1600, 2000])
@pytest.mark.parametrize("view", VIEWS)
def test_view_is_drawn_without_a_fault_or_a_request(driver, report, view, width):
    driver.get_log("browser"), driver.get_log("performance")
    show(driver, report, view, width)
    assert "cannot be drawn" not in text_of(driver)
    assert driver.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    assert {url.partition("#")[0] for url in asked} <= {report.as_uri(), "about:blank"}
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_what_a_model_wrote_is_text(driver, report):
    show(driver, report, "samples")
    total = driver.execute_script("return document.querySelectorAll('tr.pick').length")
    rows = driver.execute_script("return [...document.querySelectorAll('tr.pick')].map((row) => row.dataset.row)")
    assert total == 36
    for row in rows:
        show(driver, report, f"samples?row={row}")
        assert driver.execute_script("return window.hacked") is None
        assert not driver.execute_script(
            "return document.querySelectorAll('main script, main img, main iframe, main b').length"
        )
        assert driver.execute_script("return getComputedStyle(document.body).display") != "none"
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        shown = driver.execute_script("return document.querySelector('main').textContent")
        assert not set(shown) & {"\x1b", "\x07", "\u202e", "\u2066", "\u200f"}
    assert driver.get_log("browser") == []


FILTERS = [
    "arm=astro_rl",
    "arm=astro_rl,verdict=incorrect",
    "backtracks>1,truncated=yes",
    "tokens<=11",
    "arm!=astro_rl",
    "solved_by=direct_sft,missed_by=astro_sft",
]


@pytest.mark.parametrize("text", FILTERS)
def test_filters_find_what_python_finds(driver, report, text):
    from astro_factory.report.rows import filter_rows, row_keys

    stage = built(report.parent).stages["report"]
    found = filter_rows(stage, parse_filter(text, row_keys(stage)))
    show(driver, report, f"samples?filter={quote(text)}")
    assert text_of(driver).count(f"\n{len(found)} samples") == 1 and 0 < len(found) < 36


def test_a_wrong_filter_is_a_message(driver, report):
    show(driver, report, "samples?filter=amr%3Da")
    assert "there is no key 'amr'" in text_of(driver)


def test_the_graph_of_a_response(driver, report):
    show(driver, report, f"samples?filter={quote('arm=astro_sft')}")
    assert "5 states, 2 returns, 1 dead end" in text_of(driver)
    assert driver.execute_script("return document.querySelectorAll('#response .jump').length") == 1
    assert driver.execute_script("return document.querySelectorAll('#response .unresolved').length") == 1


def test_paragraphs_of_prose_are_drawn_as_they_are(driver, tmp_path):
    make_store(tmp_path, list(samples({"astro_rl": [PROSE]})), steps="blank_line")
    write_report(built(tmp_path), tmp_path / "r.html")
    show(driver, tmp_path / "r.html", f"samples?filter={quote('arm=astro_rl,problem=p0,sample=0')}")
    pieces = (
        "return [...document.querySelectorAll('#response li > span:last-child')].map((part) => part.lastChild.data)"
    )
    assert driver.execute_script(pieces) == [text for _, text in PIECES]
    assert "3 states, 1 return, 1 dead end" in text_of(driver)


def test_flips_lead_to_the_samples(driver, report):
    show(driver, report, "comparison?a=astro_sft&b=astro_rl")
    driver.execute_script(
        "[...document.querySelectorAll('a')].find((a) => a.textContent.startsWith('samples of p1')).click()"
    )
    settle(driver, "samples")
    assert "solved_by=astro_sft,missed_by=astro_rl" in driver.execute_script(
        "return document.getElementById('filter').value"
    )


def test_a_trace_is_walked_through_its_tree(driver, report):
    show(driver, report, "trees")
    steps = driver.execute_script("return document.querySelector('[aria-live]').textContent").count("→")
    for _ in range(steps + 1):
        driver.find_element("tag name", "body").send_keys("n")
    assert f"{steps + 1} of {steps + 1}" in text_of(driver)
    assert driver.execute_script("return document.querySelectorAll('.lines [data-on]').length") >= 1


def test_a_sweep_leads_the_comparison(driver, tmp_path):
    make_store(tmp_path, sweep="words")
    write_report(built(tmp_path, sweep="words"), tmp_path / "r.html")
    show(driver, tmp_path / "r.html", "comparison")
    text = text_of(driver)
    assert "The sweep, compared by report: pass@1" in text and "per_problem=3 (baseline)" in text and "seed=1" in text


def test_wrong_ends_that_the_judge_lets_through(driver, report):
    from astro_factory.report.rows import rows_of

    rows = rows_of(built(report.parent).stages["votes"])
    for rule in ("majority", "unanimous"):
        found = sum(row["verdict"] == "incorrect" and bool(row[rule]) for row in rows)
        show(driver, report, f"votes?rule={rule}")
        assert f"\n{found} incorrect ends that pass" in text_of(driver) and found
    driver.execute_script("document.querySelector('.end a').click()")
    settle(driver, "trees")
    assert " of 8 in favour" in driver.execute_script("return document.querySelector('main svg').textContent")


def test_rollouts_of_a_step(driver, report):
    show(driver, report, "training")
    assert "Rollouts of astro_rl" in text_of(driver) and text_of(driver).count("p0: reward 1 ✓ correct") == 2
    assert "<b>1</b>" in text_of(driver)


def test_keys_move_through_the_samples(driver, report):
    show(driver, report, "samples")
    first = driver.execute_script("return document.querySelector('[data-chosen]').dataset.row")
    driver.find_element("tag name", "body").send_keys("j")
    time.sleep(0.3)
    assert driver.execute_script("return document.querySelector('[data-chosen]').dataset.row") != first


@pytest.mark.parametrize("view", VIEWS)
def test_a_print_is_dark_on_white_and_as_wide_as_the_page(driver, report, view):
    show(driver, report, view, width=718)
    driver.execute_script("document.documentElement.dataset.theme = 'dark'")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        found = driver.execute_script(
            """const style = getComputedStyle(document.body), found = (names) => [...document.querySelectorAll(names)];
            const leavesThePage = (part) => part.getBoundingClientRect().right > innerWidth + 1;
            return {
                ink: style.color, paper: style.backgroundColor,
                wide: found('main *').filter(leavesThePage).map((part) => part.outerHTML),
                clicked: found('nav, button, input').filter((part) => part.offsetParent).length,
            };"""
        )
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert found == {"ink": "rgb(27, 29, 33)", "paper": "rgba(0, 0, 0, 0)", "wide": [], "clicked": 0}


def test_every_column_of_the_sample_list_fits_a_narrow_window(driver, report):
    show(driver, report, "samples", width=400)
    assert driver.execute_script(
        "const list = document.querySelector('.list'); return list.scrollWidth <= list.clientWidth"
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(driver, report, view, theme):
    script = axe_script()
    show(driver, report, view)
    driver.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
    driver.execute_script(script)
    found = driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    serious = [
        (entry["id"], entry["nodes"][0]["html"][:200], entry["nodes"][0].get("failureSummary", "")[:300])
        for entry in found["violations"]
        if entry["impact"] in ("serious", "critical")
    ]
    assert serious == []
