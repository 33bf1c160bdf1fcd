"""The problems of each round and the seeds of their responses, derived from the configured seed alone."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

from astro_factory.core.canonical import seed_for

_ROUNDING = 1e-9
"""Added before rounding down: 0.29 times 100 is a little below 29."""


class RoundPrompt(NamedTuple):
    """One prompt of a round."""

    problem: int
    """Index of the problem."""
    copy: int
    """How many earlier prompts of the round have the same problem; 0 unless a round has more prompts than problems."""


def plan_rounds(problems: int, *, rounds: int, prompts: int, seed: int) -> list[list[RoundPrompt]]:
    """`rounds` rounds of `prompts` prompts. Every problem comes once, in random order, before any comes again."""
    queue: list[int] = []
    plan: list[list[RoundPrompt]] = []
    epoch = 0
    for _ in range(rounds):
        seen: dict[int, int] = {}
        round_prompts = []
        for _ in range(prompts):
            if not queue:
                queue = list(range(problems))
                Random(seed_for(seed, "problem order", epoch)).shuffle(queue)
                epoch += 1
            problem = queue.pop()
            round_prompts.append(RoundPrompt(problem, seen.get(problem, 0)))
            seen[problem] = round_prompts[-1].copy + 1
        plan.append(round_prompts)
    return plan


def state_slots(prompts: int, share: float) -> list[bool]:
    """For each prompt of a round whether it begins at a state; spread evenly, so that processes get about as many."""
    before = [int(count * share + _ROUNDING) for count in range(prompts + 1)]
    return [later > earlier for earlier, later in pairwise(before)]


def plan_mixed_rounds(
    pools: Sequence[range], share: float, *, rounds: int, prompts: int, seed: int
) -> list[list[RoundPrompt]]:
    """`plan_rounds` in which a share of each round's prompts come from the second pool, if there is one: the states."""
    slots = state_slots(prompts, share)
    planned = [plan_rounds(len(pools[0]), rounds=rounds, prompts=prompts - sum(slots), seed=seed)]
    if any(slots):
        own_seed = seed_for(seed, "states")
        planned.append(plan_rounds(len(pools[1]), rounds=rounds, prompts=sum(slots), seed=own_seed))
    plan = []
    for parts in zip(*planned, strict=True):
        drawn = [iter(part) for part in parts]
        prompts_of_round = [(pools[is_state], next(drawn[is_state])) for is_state in slots]
        plan.append([RoundPrompt(pool[prompt.problem], prompt.copy) for pool, prompt in prompts_of_round])
    return plan


def sample_seeds(seed: int, step: int, problem_id: str, copy: int, group_size: int) -> list[int]:
    """Seeds of a group's responses; they depend on neither the process nor the order of sampling."""
    first = copy * group_size
    return [seed_for(seed, "response", step, problem_id, first + index) for index in range(group_size)]


def replacement(
    seed: int, step: int, problem_id: str, copy: int, attempt: int, problems: Sequence[int], group_size: int
) -> tuple[int, list[int]]:
    """One of `problems` and the seeds of its group, which replaces one of a round in its n-th attempt.

    They depend on neither the process nor the other groups: `problem_id` and `copy` are those of the planned prompt.
    """
    problem = Random(seed_for(seed, "replacement", step, problem_id, copy, attempt)).choice(problems)
    place = (seed, "replacement response", step, problem_id, copy, attempt)
    return problem, [seed_for(*place, index) for index in range(group_size)]


def micro_batch_count(samples: int, max_size: int) -> int:
    """Smallest number of equal parts of `samples` samples with at most `max_size` in each."""
    return next(parts for parts in range(1, samples + 1) if samples % parts == 0 and samples // parts <= max_size)
