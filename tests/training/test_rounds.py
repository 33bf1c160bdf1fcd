from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from astro_factory.training.rounds import micro_batches, passes, plan_rounds, sample_seeds


@given(st.integers(1, 30), st.integers(1, 10), st.integers(1, 12), st.integers(0, 3))
def test_problems_take_turns(problems, rounds, prompts, seed):
    plan = plan_rounds(problems, rounds=rounds, prompts=prompts, seed=seed)
    assert [len(slots) for slots in plan] == [prompts] * rounds
    asked = Counter(slot.problem for slots in plan for slot in slots)
    assert max(asked.values()) - min(asked.get(i, 0) for i in range(problems)) <= 1
    for slots in plan:
        assert len(set(slots)) == len(slots), "a problem asked twice in a round is told apart by its copy"
    assert plan == plan_rounds(problems, rounds=rounds, prompts=prompts, seed=seed)


def test_seeds_differ_between_steps_problems_and_copies():
    groups = [sample_seeds(0, step, problem, copy, 3) for step in (0, 1) for problem in "ab" for copy in (0, 1)]
    assert len({seed for group in groups for seed in group}) == 3 * len(groups)


@given(st.integers(1, 400), st.integers(1, 64))
def test_micro_batches_are_equal_and_small(samples, most):
    parts = micro_batches(samples, most)
    assert samples % parts == 0
    assert samples // parts <= most


@given(st.lists(st.integers(1, 90), min_size=1, max_size=40), st.sampled_from([None, 1, 7]), st.sampled_from([0, 200]))
def test_passes_cover_the_rows_within_their_limits(lengths, most, tokens):
    shares = passes(lengths, most, tokens)
    assert [row for share in shares for row in range(len(lengths))[share]] == list(range(len(lengths)))
    for share in shares:
        rows = lengths[share]
        assert rows and len(rows) <= (most or len(rows))
        assert not tokens or len(rows) == 1 or len(rows) * -(-max(rows) // 16) * 16 <= tokens
