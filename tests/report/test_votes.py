"""The votes of a judge: rows, summary and the view of the report."""

import json
import sys

import pytest

from astro_factory.cli.main import main
from astro_factory.report.filters import parse_filter
from astro_factory.report.page import Room, packed, sections_of
from astro_factory.report.rows import filter_rows, row_keys
from astro_factory.report.summaries import summary_of
from astro_factory.report.trees import trees_of
from astro_factory.report.votes import votes_of
from tests.report.workspace import built, make_store


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    root = tmp_path_factory.mktemp("votes")
    make_store(root, judge="all")
    return built(root)


@pytest.fixture(scope="module")
def rows(spec):
    return filter_rows(spec.stages["votes"], [])


def test_rows_say_what_passes_and_how(spec, rows):
    for row in rows:
        assert (row["majority"], row["unanimous"]) == (row["in_favour"] >= 5, row["in_favour"] == 8)
    stage = spec.stages["votes"]
    found = filter_rows(stage, parse_filter("verdict=incorrect,majority=yes,in_favour>6", row_keys(stage)))
    assert found == [row for row in rows if row["verdict"] == "incorrect" and row["in_favour"] > 6] != []


def test_the_summary_counts_what_is_let_through(spec, rows):
    summary = summary_of(spec.stages["votes"])
    wrong = [row for row in rows if row["verdict"] == "incorrect"]
    assert summary.facts["incorrect ends"] == {
        "all": len(wrong),
        "majority": sum(row["majority"] for row in wrong),
        "unanimous": sum(row["unanimous"] for row in wrong),
    }
    assert [rows[place]["majority"] for place in summary.examples] == [True, True]


def test_the_judges_mistakes_come_first_with_their_solutions(spec, rows):
    found = votes_of(spec, spec.stages["votes"])
    assert (found["total"], found["shown"], found["trees"]) == (len(rows), len(rows), "trees")
    correct, wrong = ([end for end in found["ends"] if end["verdict"] == verdict] for verdict in found["counts"])
    assert [end["in_favour"] for end in correct] == sorted(end["in_favour"] for end in correct)
    assert [end["in_favour"] for end in wrong] == sorted((end["in_favour"] for end in wrong), reverse=True)
    assert sum(number for _, number in found["counts"]["incorrect"]) == len(wrong)
    trees = {tree["id"]: tree["nodes"] for tree in trees_of(spec, spec.stages["trees"], 10)["trees"]}
    assert all(trees[end["problem"]]["text"][end["node"]] in end["steps"] for end in wrong)


def test_trees_name_the_votes_on_their_ends(spec, rows):
    votes = {tree["id"]: tree["votes"] for tree in trees_of(spec, spec.stages["trees"], 10)["trees"]}
    assert votes["p1"] == {row["node"]: f"{row['in_favour']} of 8" for row in rows if row["problem"] == "p1"}


def test_a_small_room_lists_fewer_ends_of_each_verdict(spec):
    room = Room(votes=len(packed(sections_of(spec)["votes"][0])) * 2 // 3)
    found = sections_of(spec, room)
    assert {end["verdict"] for end in found["votes"][0]["ends"]} == {"correct", "incorrect"}
    shown, total = (found["votes"][0][name] for name in ("shown", "total"))
    assert f"Of votes, the report holds {shown} of {total} voted ends." in found["overview"]["notes"]


def test_a_table_of_correct_ends_alone(tmp_path):
    make_store(tmp_path, judge="correct")
    rows = filter_rows(built(tmp_path).stages["votes"], [])
    assert {row["verdict"] for row in rows} == {"correct"} and rows[0]["problem"] == "p0"


def test_show_prints_the_solution_of_an_end(spec, rows, monkeypatch, capsys):
    store = spec.stages["votes"].folder.parents[1]
    place = next(row["row"] for row in rows if row["verdict"] == "incorrect")
    for args in (("--sample", str(place)), ("--filter", "verdict=incorrect,majority=yes", "--json")):
        monkeypatch.setattr("signal.signal", lambda *_: None)
        target = f"{store.parent / 'spec.yaml'}:votes"
        monkeypatch.setattr(sys, "argv", ["astro-factory", "show", target, "--store", str(store), *args])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
    sample, listed = capsys.readouterr().out.split("{", 1)
    assert "numbers 4 10 3 target 17" in sample and f"in favour {rows[place]['in_favour']}" in sample
    assert " left " in sample
    found = json.loads("{" + listed)["rows"]
    assert found == [dict(row) for row in rows if row["verdict"] == "incorrect" and row["majority"]]
