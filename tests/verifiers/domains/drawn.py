"""Puzzles of each domain."""

from functools import cache
from random import Random

from astro_factory.core.problems import Problem
from astro_factory.verifiers.puzzles import get_domain

SIZES = {"guess_number": [5, 12], "guess_in_turn": [5, 12], "mastermind": [3, 4], "sorting": [3, 8], "kinship": [5, 8]}


@cache
def puzzles(name: str, count: int = 40) -> tuple[Problem, ...]:
    random, found = Random(0), []
    while len(found) < count:
        if problem := get_domain(name).draw(random, SIZES[name][len(found) % 2]):
            found.append(problem)
    return tuple(found)
