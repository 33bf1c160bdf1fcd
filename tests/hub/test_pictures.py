"""Pictures on cards: well-formed, without anything active, with every value as text."""

from xml.etree import ElementTree

import pytest

from astro_factory.hub.evaluation_results import Score
from astro_factory.hub.pictures import backtracks_picture, results_picture

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script>\x1b\u202e" + "x" * 99


@pytest.mark.parametrize("arm", ["astro_rl", HOSTILE])
def test_results_with_intervals(arm):
    picture = results_picture("test", {arm: {"pass@1": Score(0.5, 0.25, 0.75)}, "base": {"pass@1": Score(0, 0, 0.1)}})
    root = ElementTree.fromstring(picture)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {"svg", "title", "rect", "text", "path"}
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[0] == "test: pass@1, percent" and "50.0 [25.0, 75.0]" in texts
    bars = [float(element.get("width")) for element in root.iter(f"{SVG}rect")][1:]
    assert bars == [195.0, 1.0]
    assert {name for element in root.iter() for name in element.attrib}.isdisjoint({"href", "onload", "style"})


def test_backtracks():
    root = ElementTree.fromstring(backtracks_picture("traces", {0: 10, 1: 1000}))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts == ["traces: traces by backtracks", "0 backtracks", "10", "1 backtrack", "1,000"]
    assert backtracks_picture("traces", {0: 1}) == backtracks_picture("traces", {0: 1})
