"""`build --continue-across`: a checkpoint survives a change that moves only the last bits, if the user asks."""

import json

import pytest

from astro_factory.runtime.continuing import continue_across

SPEC = "a: {kind: heavy, do: [half_way]}"
OTHER = "a: {kind: heavy, do: [half_way], parts: 4}"


def test_a_checkpoint_is_continued_and_the_provenance_says_so(bench):
    bench.write(SPEC)
    assert not bench.build().ok
    (first,) = (bench.store.root / "staging").iterdir()
    bench.write(OTHER)
    done = bench.build(continue_across=["a"])
    assert done.ok and bench.note("a.resumed") == ["made in 1 parts"]
    (step,) = done.results["a"].provenance["continued"]
    assert step["key"] == first.name and step["changes"] == ["parts: 1 -> 4"]
    assert not list((bench.store.root / "staging").iterdir())
    logged = [event["text"] for _, event in bench.events if event["event"] == "log"]
    assert logged == ["continues the checkpoint of an earlier run across parts: 1 -> 4"]
    assert bench.build(continue_across=["a"]).outcomes == {"a": "hit"}


def test_without_asking_it_starts_anew_and_a_run_of_its_own_goes_on_from_itself(bench):
    bench.write(SPEC)
    bench.build()
    bench.write(OTHER)
    assert not bench.build().ok
    done = bench.build(continue_across=["a"])
    assert done.ok and bench.note("a.resumed") == ["made in 4 parts"]
    assert "continued" not in done.results["a"].provenance
    bench.write(SPEC)
    assert bench.build().ok and bench.note("a.resumed")[1:] == ["made in 1 parts"]


def test_every_change_on_the_way_is_recorded(bench):
    for parts in (1, 2):
        bench.write(f"a: {{kind: heavy, do: [half_way, fail], parts: {parts}}}")
        assert not bench.build(continue_across=["a"] * (parts - 1)).ok
    bench.write("a: {kind: heavy, do: [half_way, fail], parts: 3}")
    assert not bench.build(continue_across=["a"]).ok
    (staging,) = (bench.store.root / "staging").iterdir()
    steps = json.loads((staging / "continued.json").read_text())
    assert [step["changes"] for step in steps] == [["parts: 1 -> 2"], ["parts: 2 -> 3"]]


@pytest.mark.parametrize("other", ["text: other, parts: 4", "parts: 4, do: [half_way, count]"])
def test_a_run_that_differs_in_more_is_not_continued(bench, other):
    bench.write(SPEC)
    bench.build()
    bench.write(f"a: {{kind: heavy, {other if 'do' in other else 'do: [half_way], ' + other}}}")
    done = bench.build(continue_across=["a"])
    assert "E518" in done.failures["a"]
    assert list(bench.store.root.glob("staging/*/work/checkpoints/checkpoint-1")), "the other run keeps its checkpoint"


def test_a_checkpoint_in_use_is_left_alone(bench):
    bench.write(SPEC)
    bench.build()
    (first,) = (bench.store.root / "staging").iterdir()
    bench.write(OTHER)
    (planned,) = bench.plan().nodes.values()
    with bench.store.lock(first.name), pytest.raises(Exception, match="no checkpoint to continue"):
        continue_across(bench.store, planned)
    assert "across parts" in continue_across(bench.store, planned)
