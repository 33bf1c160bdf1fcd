"""The report as a file: what it holds, what it leaves out, and that nothing a model wrote is markup."""

import base64
import json
import re
import zlib
from itertools import pairwise

import pytest

from astro_factory.report.page import Room, packed, page, sections_of, write_report
from astro_factory.report.samples import MAX_CHARS, Choice, classified_pieces, samples_of
from astro_factory.report.trees import trees_of
from tests.report.workspace import built, make_store, samples

DATA = re.compile(r'<script type="application/octet-stream" id="data-(\w+)">([A-Za-z0-9+/=]+)</script>')


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    make_store(root)
    return built(root)


def data_in(text: str) -> dict:
    return {name: json.loads(zlib.decompress(base64.b64decode(data))) for name, data in DATA.findall(text)}


def test_every_view_has_its_data(spec, tmp_path):
    assert write_report(spec, tmp_path / "r.html") == []
    text = (tmp_path / "r.html").read_text()
    found = data_in(text)
    assert found["overview"]["views"] == ["pipeline", "comparison", "samples", "trees", "training", "data"]
    assert found == json.loads(json.dumps(sections_of(spec)))
    write_report(spec, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == text


def test_the_policy_allows_the_one_script_and_the_one_style(spec):
    text = page("x", sections_of(spec))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML|document\.write|\beval\b|new Function", text)


def test_the_title_is_escaped(spec):
    assert "<script>alert" not in page("</title><script>alert(1)</script>", sections_of(spec))


def test_pipeline_names_what_each_stage_reads_and_sets(spec):
    stages = {stage["name"]: stage for stage in sections_of(spec)["pipeline"]}
    assert stages["traces"]["reads"] == ["trees"] and stages["traces"]["layer"] == 2
    assert ["template", "reflection/countdown.jinja"] in [list(pair) for pair in stages["traces"]["config"]]
    assert stages["astro_rl"]["seconds"] == 1.5 and stages["astro_rl"]["built"]


def test_lines_of_a_response_have_kinds_and_states(spec):
    found = samples_of(spec, spec.stages["report"])
    columns = found["columns"]
    first = found["values"]["arm"].index("astro_sft")
    row = columns["arm"].index(first)
    assert (columns["kinds"][row], columns["states"][row]) == ("ssbsuss", [1, 2, 0, 3, 3, 4, 5])
    assert columns["states"][columns["arm"].index(found["values"]["arm"].index("direct_sft"))] is None
    assert found["solved"]["astro_rl"] == [1, 0, 1, 1, 1, 1]


PROSE = """Let x be y 😀.

Then
x = 4,

so it is 7.

But wait, are we correct so far? No. Go back to where we had "Let x be y 😀."

Then x = 5."""
PIECES = [
    ("step", "Let x be y 😀."), ("step", "Then\nx = 4,\n\nso it is 7."),
    ("jump", 'But wait, are we correct so far? No. Go back to where we had "Let x be y 😀."'), ("step", "Then x = 5."),
]  # fmt: skip


@pytest.fixture(scope="module")
def prose(tmp_path_factory):
    root = tmp_path_factory.mktemp("prose")
    make_store(root, list(samples({"astro_rl": [PROSE]})), steps="blank_line")
    return root


def test_paragraphs_are_the_steps_of_prose(prose):
    stage = built(prose).stages["report"]
    steps, template = built(prose).steps_of("report"), stage.node.config.backtracks
    assert steps is not None and steps.format == "blank_line"
    assert classified_pieces(PROSE, "", template, steps) == PIECES
    assert classified_pieces(PROSE, "", template, steps, answers=True)[-1] == ("answer", "Then x = 5.")
    columns = samples_of(built(prose), stage)["columns"]
    row = columns["text"].index(PROSE)
    assert (columns["kinds"][row], columns["states"][row]) == ("ssbs", [1, 2, 1, 3])
    units = PROSE.encode("utf-16-le")
    ends = [2 * place for place in [*columns["starts"][row], len(units) // 2]]
    assert [units[a:b].decode("utf-16-le").strip() for a, b in pairwise(ends)] == [text for _, text in PIECES]


def test_steps_are_those_of_the_trees_unless_the_stage_says_otherwise(spec):
    assert spec.steps_of("report") is None  # the trees of this store are lines


def test_fewer_samples_keep_every_arm(spec):
    found = samples_of(spec, spec.stages["report"], Choice(every=3, each=1))
    assert (found["shown"], found["total"], found["problems"]["id"]) == (6, 36, ["p0", "p3"])
    assert len(found["solved"]["astro_rl"]) == 6


def test_a_report_that_would_be_too_large_says_what_it_leaves_out(spec, tmp_path):
    everything = sections_of(spec)
    room = Room(*(len(packed(everything[name][0])) * 3 // 4 for name in ("samples", "trees")))
    notes = write_report(spec, tmp_path / "r.html", room)
    assert [re.sub(r"\d+ of", "N of", note) for note in notes] == [
        "Of report, the report holds N of 36 samples.", "Of trees, the report holds N of 4 trees."
    ]  # fmt: skip


def test_trees_hold_their_traces_in_every_wording(spec):
    found = trees_of(spec, spec.stages["trees"], 10)
    assert found["templates"] == ["reflection/countdown.jinja", "reflection/direct.jinja"]
    traces = found["trees"][0]["traces"]
    assert [trace["stage"] for trace in traces] == ["traces"] * 3 + ["direct"] * 3
    first = traces[0]
    assert first["backtracks"] >= 1 and list(first["texts"]) == ["reflection/direct.jinja"]
    rows = spec.stages["traces"].table().to_pylist()
    nodes = found["trees"][0]["nodes"]["text"]
    text = [piece[2] if len(piece) > 2 else nodes[piece[1]] for piece in first["segments"]]
    assert text == [segment["text"] for segment in rows[0]["segments"]]


def test_long_texts_are_cut(tmp_path):
    make_store(tmp_path, list(samples({"direct_sft": ["x" * 1_000_000]})))
    found = samples_of(built(tmp_path), built(tmp_path).stages["report"])
    assert len(found["columns"]["text"][0]) < MAX_CHARS + 100
    assert found["columns"]["text"][0].endswith("[980,000 more characters are not in this report]")


def test_a_sweep_is_compared_with_its_baseline(tmp_path):
    make_store(tmp_path, sweep="words")
    found = sections_of(built(tmp_path, sweep="words"))
    rows = found["sweep"]["rows"]
    assert found["sweep"]["stage"] == "report" and len(found["comparison"]) == 4
    assert [(row["arm"], row["settings"], row["baseline"]) for row in rows[:2]] == [
        ("astro_rl", {"per_problem": 3}, True), ("astro_rl", {"per_problem": 2}, False)
    ]  # fmt: skip
    assert rows[1]["difference"] == 0 and list(rows[1]["by_seed"]) == ["seed=0", "seed=1"]
    write_report(built(tmp_path, sweep="words"), tmp_path / "r.html")


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml")
    from astro_factory.report.mathematics import formulas_in

    found = formulas_in([r"so $\frac{1}{2}$ and \(x^2\) and $\frac{$ or $\href{javascript:alert(1)}{x}$"])
    assert found[r"\frac{1}{2}"][0] == "math" and "x^2" in found
    assert "mfrac" in json.dumps(found)
