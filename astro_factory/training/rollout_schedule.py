"""The problems of each round and the seeds of their responses, derived from the configured seed alone."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from astro_factory.core.canonical import seed_for


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
