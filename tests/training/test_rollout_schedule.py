from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from astro_factory.training.rollout_schedule import micro_batch_count, plan_rounds, sample_seeds


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
    parts = micro_batch_count(samples, most)
    assert samples % parts == 0
    assert samples // parts <= most
