import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.verdicts import Outcome
from astro_factory.training.alarm_settings import Alarm
from astro_factory.training.alarms import Alarms, verdict_rates, wording_drift


def monitored(points, **settings) -> tuple[list[int], list[str]]:
    """The number of alarms at each point, and the log; a point gives the rates of outcomes other than correct."""
    lines: list[str] = []
    alarms = Alarms(Alarm(**settings), lines.append)
    counts = []
    for step, point in enumerate(points, 1):
        rates = dict.fromkeys(Outcome, 0.0) | {Outcome(name): rate for name, rate in point.items()}
        counts.append(alarms.update(step, verdict_rates(rates)))
    return counts, lines


@pytest.mark.parametrize(
    ("points", "counts"),
    [
        ([{"no_answer": 0.5}, {"no_answer": 0.51}, {"no_answer": 0.4}], [0, 1, 0]),
        ([{"timeout": 0.05}, {"timeout": 0.06}], [0, 1]),
        ([{"error": 0.006, "unparseable_gold": 0.006}, {"error": 0.01}], [1, 0]),
        ([{"no_answer": 0.7, "timeout": 0.2, "error": 0.1}], [3]),
        ([{"incorrect": 1.0}, {}], [0, 0]),
        ([{"no_answer": 0.1}, {"no_answer": 0.2}, {"no_answer": 0.36}, {"no_answer": 0.4}], [0, 0, 1, 0]),
        ([{"no_answer": 0.1}] * 10 + [{"no_answer": 0.31}] * 2 + [{"no_answer": 0.12}], [0] * 10 + [1, 0, 0]),
    ],
)
def test_a_rate_above_its_bound_or_far_above_its_mean_raises_an_alarm(points, counts):
    assert monitored(points)[0] == counts


def test_an_alarm_is_logged_when_it_begins_and_when_it_ends(golden):
    points = [{"no_answer": 0.1}, {"no_answer": 0.9}, {"no_answer": 0.8}, {"timeout": 0.5}, {}]
    golden("\n".join(monitored(points, timeout=1.0, jump=0.4)[1]))


@pytest.mark.parametrize(
    ("measured", "drift"),
    [
        ({"backtracks": [2.0, 1.0], "worded": [2.0, 1.0], "repeated": [0.1, 0.0]}, 0.0),
        ({"backtracks": [2.0, 2.0], "worded": [2.0, 1.0], "repeated": [0.1, 0.0]}, 0.25),
        ({"backtracks": [2.0], "worded": [2.4], "repeated": [0.1]}, 0.0),
        ({"backtracks": [0.05], "worded": [0.0], "repeated": [0.0]}, None),
        ({"backtracks": [2.0], "worded": [2.0]}, None),
        ({}, None),
    ],
    ids=["in its words", "a quarter not", "more words than moves", "hardly any", "no states", "not measured"],
)
def test_drift_is_the_share_of_backtracks_in_other_words(measured, drift):
    assert wording_drift(measured) == drift


def test_a_drift_of_wording_raises_an_alarm(golden):
    lines: list[str] = []
    alarms = Alarms(Alarm(), lines.append)
    points = [0.02, 0.05, 0.24, 0.29, 0.45, 0.1]
    assert [alarms.update(step, {"wording": drift}) for step, drift in enumerate(points, 1)] == [0, 0, 1, 0, 1, 0]
    golden("\n".join(lines))


def test_bounds_of_one_are_off():
    everything = [{"no_answer": 1.0}, {"timeout": 1.0}, {"error": 1.0}]
    assert monitored(everything, no_answer=1, timeout=1, unjudged=1, jump=1) == ([0, 0, 0], [])


def test_an_alarm_can_stop_training(golden):
    with pytest.raises(UserError) as caught:
        monitored([{}, {"error": 0.5}], stop=True, jump=1)
    assert caught.value.diagnostics[0].code == "E507"
    golden(str(caught.value))
