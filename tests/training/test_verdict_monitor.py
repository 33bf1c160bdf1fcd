import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.verdicts import Outcome
from astro_factory.training.settings import VerdictAlarm
from astro_factory.training.verdict_monitor import VerdictMonitor


def heard(points, **settings) -> tuple[list[int], list[str]]:
    """How many alarms there are at each point, and what was said; a point names the outcomes that are not correct."""
    lines: list[str] = []
    alarms = VerdictMonitor(VerdictAlarm(**settings), lines.append)
    counts = []
    for step, point in enumerate(points, 1):
        rates = dict.fromkeys(Outcome, 0.0) | {Outcome(name): rate for name, rate in point.items()}
        counts.append(alarms.hear(step, rates))
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
def test_a_rate_over_its_bound_or_far_over_the_usual_is_an_alarm(points, counts):
    assert heard(points)[0] == counts


def test_an_alarm_is_told_when_it_begins_and_when_it_ends():
    points = [{"no_answer": 0.1}, {"no_answer": 0.9}, {"no_answer": 0.8}, {"timeout": 0.5}, {}]
    assert heard(points, timeout=1.0, jump=0.4)[1] == [
        "ALARM at step 2: verdict 'no answer' for 90.0% of the responses, over the bound of 50.0%; "
        "does the prompt say how to state one, and is max_new_tokens enough?",
        "the alarm 'no answer' ends at step 4, at 0.0% of the responses",
        "ALARM at step 4: verdict 'timeout' for 50.0% of the responses, after 0.0% in the 3 before; "
        "do responses hold what hangs the verifier?",
        "the alarm 'timeout' ends at step 5, at 0.0% of the responses",
    ]


def test_bounds_of_one_are_none():
    everything = [{"no_answer": 1.0}, {"timeout": 1.0}, {"error": 1.0}]
    assert heard(everything, no_answer=1, timeout=1, unjudged=1, jump=1) == ([0, 0, 0], [])


def test_an_alarm_can_stop_training():
    with pytest.raises(UserError) as caught:
        heard([{}, {"error": 0.5}], stop=True, jump=1)
    assert str(caught.value) == (
        "E507 training stopped at step 2: verdict 'unjudged' for 50.0% of the responses, over the bound of 1.0%; "
        "look at what the model says and at its problems; or set alarm.stop to false, or raise the alarm's bounds: "
        "training then goes on from its last checkpoint"
    )
