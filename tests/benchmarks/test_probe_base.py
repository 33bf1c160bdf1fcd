from astro_factory.verifiers.countdown import calculate
from astro_factory.verifiers.countdown_puzzles import PuzzleRules, split_of
from benchmarks.probe_base import probe, probes
from tests.benchmarks.blank_model import write_blank_model

RULES = PuzzleRules()


def test_probes_are_held_out_and_their_answers_continue_the_prefix():
    items = list(probes(RULES, [3, 4], 20))
    assert {item.name for item in items} == {
        "result", "state", "last_result", "attempt_result", "attempt_state", "compare", "compare_equal", "restate",
        "restate_far",
    }  # fmt: skip
    for item in items:
        if "numbers" in item.question:
            numbers = item.question.partition("numbers ")[2].partition(" target")[0]
            assert split_of(list(map(int, numbers.split()))) == "test"
        last = item.prefix.split("\n")[-1]
        if item.name in ("result", "attempt_result", "last_result"):
            left, operator, right, _ = last.split()
            assert item.right == (str(calculate(int(left), operator, int(right), RULES.max_value)),)
        if item.name.startswith("restate"):
            assert last == "had" and len(item.right) in (2, 3)


def test_all_figures_of_a_model(tmp_path):
    write_blank_model(tmp_path)
    figures = probe(tmp_path, RULES, [3], count=4, problems=3, samples=1)
    assert set(figures) >= {"result", "restate_far", "solve", "solve 3 numbers"}
    assert all(0 <= value <= 1 for value in figures.values())
