"""Which problems are asked in which round, and the seeds of their responses: from the configured seed alone."""

from random import Random
from typing import NamedTuple

from astro_factory.core.canonical import seed_for


class Slot(NamedTuple):
    """One prompt of a round."""

    problem: int
    """Index of the problem."""
    copy: int
    """How often the problem stood in this round before; not 0 only where a round has more prompts than problems."""


def plan_rounds(problems: int, *, rounds: int, prompts: int, seed: int) -> list[list[Slot]]:
    """`rounds` rounds of `prompts` prompts. All problems are asked once, in a random order, before any is again."""
    queue: list[int] = []
    plan: list[list[Slot]] = []
    epoch = 0
    for _ in range(rounds):
        seen: dict[int, int] = {}
        slots = []
        for _ in range(prompts):
            if not queue:
                queue = list(range(problems))
                Random(seed_for(seed, "problem order", epoch)).shuffle(queue)
                epoch += 1
            problem = queue.pop()
            slots.append(Slot(problem, seen.get(problem, 0)))
            seen[problem] = slots[-1].copy + 1
        plan.append(slots)
    return plan


def sample_seeds(seed: int, step: int, problem_id: str, copy: int, group_size: int) -> list[int]:
    """Seeds of a group's responses, wherever and in whatever order they are sampled."""
    first = copy * group_size
    return [seed_for(seed, "response", step, problem_id, first + index) for index in range(group_size)]


def micro_batches(samples: int, most: int) -> int:
    """Smallest number of equal parts of `samples` with at most `most` in each."""
    return next(parts for parts in range(1, samples + 1) if samples % parts == 0 and samples // parts <= most)
