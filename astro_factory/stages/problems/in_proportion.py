"""Generated problems of several sorts: none twice, and each sort as often as its weight says."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TypeVar

from astro_factory.core.errors import UserError

S = TypeVar("S", bound=Hashable)
T = TypeVar("T")


def in_proportion(
    weights: Mapping[S, float], sources: Mapping[S, Iterator[T]], count: int, exhausted: Callable[[S, int], UserError]
) -> Iterator[T]:
    """The next problem of the sort that is furthest behind its share, `count` times; more only append.

    Args:
        exhausted: the error for a sort whose source ends, given the sort and how many it had.
    """
    made = dict.fromkeys(weights, 0)
    for index in range(count):
        sort = max(weights, key=lambda name: weights[name] * (index + 1) / sum(weights.values()) - made[name])
        problem = next(sources[sort], None)
        if problem is None:
            raise exhausted(sort, made[sort])
        made[sort] += 1
        yield problem


def distinct(draw: Callable[[], T | None], identity: Callable[[T], Hashable], patience: int) -> Iterator[T]:
    """What `draw` gives, each identity once; ends after `patience` draws in a row that gave nothing new."""
    seen = set()
    misses = 0
    while misses < patience:
        found = draw()
        if found is None or (key := identity(found)) in seen:
            misses += 1
            continue
        misses = 0
        seen.add(key)
        yield found
