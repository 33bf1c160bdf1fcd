"""Dynamic sampling: groups that teach nothing are replaced before a round is trained on.

If all responses to a problem earn the same reward, their advantages are 0 and the group adds nothing to the gradient.
DAPO (arXiv 2503.14476, section 3.2) samples other problems in place of such groups until the round is full. Here each
group is replaced a limited number of times, so that a round has a greatest cost, also when the policy solves everything
or nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

Group = TypeVar("Group")
"""The responses to one prompt."""


class Asked(NamedTuple):
    """A prompt and the seeds of the responses to it."""

    problem: int
    """Index of the problem."""
    seeds: list[int]


@dataclass(frozen=True)
class SampledRound(Generic[Group]):
    """The groups of a round."""

    asked: list[Asked]
    """What each group answers."""
    groups: list[Group]
    replaced: list[Group]
    """Groups that were sampled and not kept."""


def sample_round(
    planned: Sequence[Asked],
    sample: Callable[[Sequence[Asked]], Sequence[Group]],
    are_flat: Callable[[Sequence[Asked], Sequence[Group]], Sequence[bool]],
    replacement: Callable[[int, int], Asked],
    most: int,
) -> SampledRound[Group]:
    """Sample the planned groups, and up to `most` times another one in place of each that is flat.

    Args:
        are_flat: whether all responses of a group earn the same reward. Not called if `most` is 0.
        replacement: what to ask in place of the group at an index, by the number of the attempt, from 1.
        most: attempts for each group; the last one is kept even if it is flat.
    """
    asked, groups = list(planned), list(sample(planned))
    replaced: list[Group] = []
    open_places = list(range(len(asked)))
    for attempt in range(1, most + 1):
        flat = are_flat([asked[place] for place in open_places], [groups[place] for place in open_places])
        open_places = [place for place, is_flat in zip(open_places, flat, strict=True) if is_flat]
        if not open_places:
            break
        others = [replacement(place, attempt) for place in open_places]
        for place, other, group in zip(open_places, others, sample(others), strict=True):
            replaced.append(groups[place])
            asked[place], groups[place] = other, group
    return SampledRound(asked, groups, replaced)
