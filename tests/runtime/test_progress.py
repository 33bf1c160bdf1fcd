"""How long a stage and a whole build will still take."""

from astro_factory.runtime.progress import BuildProgress
from tests.cli.test_terminal import LOAD, RAN, START, STEP, planned


def taking(build: BuildProgress, *events: tuple[float, str, dict]) -> BuildProgress:
    for seconds, name, event in events:
        build.take(name, event, seconds)
    return build


def test_a_stage_is_judged_by_its_rate_since_it_began_or_resumed():
    build = taking(
        BuildProgress(planned("a"), 0),
        (100, "a", START),
        (160, "a", STEP | {"done": 50, "total": 100}),
        (190, "a", STEP | {"done": 60, "total": 100}),
    )
    stage = build.stages["a"]
    assert (stage.seconds(190), stage.remaining(190)) == (90, 120), "forty steps at ten in half a minute"
    build.take("a", STEP | {"done": 1, "total": 7, "unit": "tensors"}, 200)
    assert stage.remaining(200) is None, "another phase has its own rate"
    build.take("a", RAN, 210)
    assert (stage.seconds(9999), stage.remaining(9999)) == (110, 0)


def metric(step: int, **values) -> dict:
    return {"event": "metric", "step": step, "values": values}


def test_the_curve_of_a_resumed_stage_begins_at_its_first_step():
    earlier = [{"step": step, "loss": 1.0} for step in (1, 2, 3)]
    build = taking(
        BuildProgress(planned("a"), 0),
        (0, "a", START),
        (1, "a", {"event": "curve", "points": earlier}),
        (2, "a", metric(3, rollouts=[])),
        (3, "a", metric(3, loss=0.5)),
        (4, "a", metric(3, entropy=2.0)),
        (5, "a", metric(4, loss=0.4)),
    )
    found = [(point["step"], point.get("loss")) for point in build.stages["a"].curve]
    assert found == [(1, 1.0), (2, 1.0), (3, 0.5), (3, None), (4, 0.4)]


def test_a_build_takes_its_longest_chain_or_its_work_over_all_cores():
    chain = BuildProgress(planned("a", "b", "c", a=10, b=20, c=30), 0)
    assert chain.remaining(0) == 60
    for stage in chain.planned["stages"]:
        stage["needs"] = []
    assert chain.remaining(0) == 30 and chain.planned["capacity"]["cores"] == 2
    chain.planned["capacity"]["cores"] = 1
    assert chain.remaining(0) == 60
    taking(chain, (0, "a", START), (4, "a", LOAD))
    assert chain.remaining(4) == 56, "by the estimate, while a stage reports no progress"
    taking(chain, (4, "a", STEP | {"done": 0}), (8, "a", STEP | {"done": 2}))
    assert chain.remaining(8) == 12 + 50
    assert taking(chain, (30, "a", RAN), (30, "b", START)).remaining(60) == 30, "late, and so at its end"


def test_the_time_of_a_build_is_unknown_while_that_of_a_stage_is():
    build = BuildProgress(planned("a", "b", a=10), 0)
    assert build.remaining(0) is None
    taking(build, (0, "b", START), (0, "b", STEP | {"done": 0}), (4, "b", STEP | {"done": 4}))
    assert build.remaining(4) == 10 + 4
    assert taking(build, (5, "a", RAN), (9, "b", RAN)).remaining(9) == 0
