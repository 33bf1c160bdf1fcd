"""Number guessing, one condition after the other: the puzzles of `guess_number`, in tests that end where they fail.

A test sets each remainder beside the one wanted and says no more after the first that differs, as one would on paper:

    find x to 12 : 3 x + 5 mod 7 = 1 , 4 x + 1 mod 9 = 6
    try 3 : 9 14 0 want 1
    try 8 : 24 29 1 want 1 , 32 33 6 want 6
    answer 8
"""

from collections.abc import Sequence

from astro_factory.core.problems import Problem
from astro_factory.verifiers.domains.guess_number import Condition, GuessNumber


class GuessInTurn(GuessNumber):
    name = "guess_in_turn"

    def test(self, x: int, conditions: Sequence[Condition]) -> str:
        first_miss = next((place for place, c in enumerate(conditions) if not c.meets(x)), len(conditions))
        compared = (f"{' '.join(map(str, c.values(x)))} want {c.wanted}" for c in conditions[: first_miss + 1])
        return f"try {x} : {' , '.join(compared)}"

    def facts(self, problem: Problem, steps: Sequence[str]) -> dict[str, str]:
        """After a test: the remainders `found` and `wanted`, and as the `check` the two that it has compared last."""
        facts = super().facts(problem, steps)
        if steps:
            pairs = list(zip(facts["found"].split(), facts["wanted"].split(), strict=True))
            found, wanted = next((pair for pair in pairs if pair[0] != pair[1]), pairs[-1])
            facts["check"] = f"{found} want {wanted}"
        return facts
