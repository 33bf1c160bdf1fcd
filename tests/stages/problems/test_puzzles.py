from itertools import combinations

import pytest
from pydantic import ValidationError

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.stages.problems import puzzles
from astro_factory.stages.problems.own_verifier import own_verifier
from astro_factory.stages.problems.puzzles import Config, make_problems
from astro_factory.verifiers.domains.sorting import Sorting
from astro_factory.verifiers.puzzles import get_domain
from astro_factory.verifiers.splits import bucket_of, split_of
from tests.stages.problems.test_countdown import run as run_stage

SIZES = {"guess_number": [8, 12], "guess_in_turn": [8, 12], "mastermind": [3], "sorting": [4, 6]}


def config(**fields):
    return Config(**{"kind": "puzzles", "domain": "sorting", "sizes": [4], "count": 60, **fields})


@pytest.mark.parametrize("name", SIZES)
def test_splits_and_buckets_share_no_puzzle(name):
    domain = get_domain(name)
    parts = [{"split": "test"}, {"split": "dev"}, {"buckets": [2, 3]}, {"buckets": [4, 9]}]
    found = [
        {domain.identity(p) for p in make_problems(config(domain=name, sizes=SIZES[name], **part))} for part in parts
    ]
    assert all(len(identities) == 60 for identities in found)
    assert not any(first & second for first, second in combinations(found, 2))
    assert {split_of(identity) for identity in found[0]} == {"test"}
    assert {bucket_of(identity) for identity in found[3]} == {4, 9}


@pytest.mark.parametrize("name", SIZES)
def test_a_larger_count_only_appends(name):
    few, many = (list(make_problems(config(domain=name, sizes=SIZES[name], count=count))) for count in (30, 60))
    assert many[:30] == few
    assert list(make_problems(config(domain=name, sizes=SIZES[name], seed=1)))[:30] != few
    assert len({problem.id for problem in many}) == 60


def test_sizes_follow_their_weights():
    levels = [problem.level for problem in make_problems(config(sizes={6: 1, 4: 3}))]
    assert (levels.count("4 numbers"), levels.count("6 numbers")) == (45, 15)


def test_the_table_names_the_domain_so_that_a_changed_one_changes_keys(tmp_path):
    run_stage(puzzles, config(), tmp_path / "out")
    table = tmp_path / "out/problems.parquet"
    rows = read_table(table)
    assert len(rows) == 60 and Problem.from_row(rows[0]).verifier == "sorting"
    assert config().key_additions() == {"domain": "sorting 1"}
    assert own_verifier(table) == ""  # a built-in one


def test_a_puzzle_that_its_domain_refuses_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Sorting, "check_problem", lambda self, problem: "no reason")
    with pytest.raises(UserError) as raised:
        run_stage(puzzles, config(), tmp_path / "out")
    (found,) = raised.value.diagnostics
    assert (found.code, found.cause.partition(": ")[2]) == ("E431", "no reason")


def test_more_puzzles_than_there_are(monkeypatch):
    monkeypatch.setattr(puzzles, "_PATIENCE", 200)
    with pytest.raises(UserError) as raised:
        list(make_problems(config(domain="sorting", sizes=[2], count=600, split="test")))
    assert [found.code for found in raised.value.diagnostics] == ["E411"]


WRONG = [
    ({"domain": "sortng"}, "unknown domain 'sortng'; did you mean 'sorting'?"),
    ({"domain": "math"}, "the verifier 'math' draws no puzzles; use a domain such as "),
    ({"domain": "python:tests.search.toy:Letters"}, "unknown domain 'python:tests.search.toy:Letters'"),
    ({"sizes": [99]}, "'sorting' needs sizes from 2 to 12 \\(numbers\\), with weights above 0"),
    ({"sizes": {4: 0}}, "'sorting' needs sizes"),
    ({"sizes": []}, "'sorting' needs sizes"),
    ({"buckets": [1]}, "the buckets of the training split are 2 to 9"),
    ({"buckets": [2], "split": "dev"}, "'buckets' divides the training split, and 'split' is dev"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG)
def test_wrong_configurations_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        config(**fields)
