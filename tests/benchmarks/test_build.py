import pytest

from benchmarks.build import PHASES, ahead, measure
from benchmarks.peers import TOOLS, changed, expected, graph


def test_the_graph_is_a_chain_and_a_fan_and_one_that_reads_the_fan():
    for count in (10, 200):
        stages = graph(count)
        assert len(stages) == len({stage.name for stage in stages}) == count
        seen: set[str] = set()
        for stage in stages:
            assert set(stage.reads) <= seen
            seen.add(stage.name)
        other = changed(stages)
        assert sum(one != two for one, two in zip(stages, other, strict=True)) == 1
        assert expected(stages) != expected(other)


@pytest.mark.slow
def test_our_build_of_it_is_right_in_every_phase(tmp_path):
    """`measure` compares what the last stage wrote; the other tools are not there in every environment."""
    seconds = measure(TOOLS["astro-factory"], tmp_path / "build", graph(10))
    assert set(seconds) == set(PHASES) and all(value > 0 for value in seconds.values())
    written = {name: tool.write for name, tool in TOOLS.items() if name != "astro-factory"}
    for name, write in written.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name, graph(10))


def test_ahead_is_the_fastest_others_time_over_ours():
    ours, one, two = ({phase: seconds for phase in PHASES} for seconds in (2.0, 8.0, 3.0))
    assert ahead({"10": {"astro-factory": ours, "dvc": one, "redun": two}}) == {f"10 {p}": 1.5 for p in PHASES}
    assert ahead({"10": {"astro-factory": ours}}) == {}
