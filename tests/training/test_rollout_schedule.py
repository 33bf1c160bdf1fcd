from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from astro_factory.training.rollout_schedule import (
    micro_batch_count,
    plan_mixed_rounds,
    plan_rounds,
    sample_seeds,
    state_slots,
)


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


@given(st.integers(1, 20), st.integers(1, 20), st.integers(2, 12), st.sampled_from([0.1, 0.25, 0.29, 0.5, 0.9]))
def test_states_have_their_share_of_each_round_and_problems_take_turns(problems, states, prompts, share):
    pools = [range(problems), range(problems, problems + states)]
    plan = plan_mixed_rounds(pools, share, rounds=5, prompts=prompts, seed=0)
    begun = int(prompts * share)
    for slots in plan:
        assert sum(prompt.problem in pools[1] for prompt in slots) == begun
        assert len(set(slots)) == len(slots) == prompts
    for pool in pools:
        asked = Counter(prompt.problem for slots in plan for prompt in slots if prompt.problem in pool)
        assert not asked or max(asked.values()) - min(asked.get(index, 0) for index in pool) <= 1


def test_states_are_spread_over_a_round_and_without_them_the_plan_is_the_same():
    assert state_slots(8, 0.25) == [False, False, False, True] * 2
    assert sum(state_slots(100, 0.29)) == 29
    plain = plan_rounds(9, rounds=4, prompts=5, seed=3)
    assert plan_mixed_rounds([range(9)], 0.0, rounds=4, prompts=5, seed=3) == plain
