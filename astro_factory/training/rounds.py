"""Which problems are asked in which round, and the seeds of their responses: from the configured seed alone."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from astro_factory.core.canonical import seed_for
from astro_factory.training.batches import padded_width


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


def by_length(lengths: Sequence[int]) -> list[int]:
    """Indices in the order of their lengths; equal lengths keep their order."""
    return sorted(range(len(lengths)), key=lambda index: lengths[index])


def passes(lengths: Sequence[int], most: int | None, tokens: int) -> list[slice]:
    """Consecutive rows that are computed together: at most `most` rows and, padding included, `tokens` tokens.

    0 tokens and no `most` are no limits; a pass has at least one row.
    """
    shares, start, width = [], 0, 0
    for row, length in enumerate(lengths):
        wider = max(width, padded_width(length))
        if row > start and (row - start == most or (tokens and (row - start + 1) * wider > tokens)):
            shares.append(slice(start, row))
            start, wider = row, padded_width(length)
        width = wider
    return [*shares, slice(start, len(lengths))]
