"""Online difficulty: rounds draw problems that the present policy solves sometimes.

A group whose responses are all right or all wrong teaches nothing. Its problem has a pass rate near 1 or 0, so problems
whose estimated rate lies in a band between are asked more often. Online difficulty filtering (arXiv 2504.03380) samples
a group first and keeps it if its rate is in the band; here the estimate comes from a problem's earlier groups, so that
what lies outside costs nothing. As in RLVE (arXiv 2511.07317), the difficulty moves with the policy.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import NamedTuple

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from astro_factory.core.canonical import seed_for
from astro_factory.training.prompt_settings import Difficulty
from astro_factory.training.rollout_schedule import RoundPrompt

_FADING = 0.5
"""Weight of a problem's groups so far when another one comes."""
_NEVER = -1
_ROUNDING = 1e-9
"""Added to the ends of the band: a known rate of 0.1 is a little more after a multiplication by 3 and its inverse."""
_STATE = "difficulty.json"
"""File in a checkpoint."""


class Tally(NamedTuple):
    """Responses to a problem, in which earlier ones count less."""

    right: float
    judged: float


_UNKNOWN = Tally(0, 0)


class DifficultyBand:
    """The pass rates of all problems, and what a round asks by them. The same in every process."""

    def __init__(self, settings: Difficulty, pools: Sequence[range], known: Mapping[int, Tally], seed: int):
        """
        Args:
            pools: sets of problems (by index) that do not take each other's places.
            known: rates to start from, by problem.
        """
        self._settings, self._pools, self._seed = settings, pools, seed
        self._tallies = dict(known)
        self._asked: dict[int, int] = {}
        """The latest round in which each problem was asked."""
        places = [index for pool in pools for index in _shuffled(pool, seed)]
        self._order = {index: place for place, index in enumerate(places)}
        self._spare: list[Sequence[int]] = []
        """For each pool the problems from which a round's replacements come."""

    def choose(self, number: int, planned: Sequence[RoundPrompt]) -> list[RoundPrompt]:
        """What to ask in round `number` (from 0): in place of each planned prompt one from the same pool."""
        problems = [prompt.problem for prompt in planned]
        self._spare = []
        for pool in self._pools:
            slots = [slot for slot, prompt in enumerate(planned) if prompt.problem in pool]
            drawn = self._draw(number, pool, len(slots))
            Random(seed_for(self._seed, "band", number, pool.start)).shuffle(drawn)
            for slot, problem in zip(slots, drawn, strict=True):
                problems[slot] = problem
        copies: Counter[int] = Counter()
        chosen = []
        for problem in problems:
            chosen.append(RoundPrompt(problem, copies[problem]))
            copies[problem] += 1
        return chosen

    def spare(self, problem: int) -> Sequence[int]:
        """The problems that may replace one of the current round: those of the band, if the round left any."""
        return next(spare for pool, spare in zip(self._pools, self._spare, strict=True) if problem in pool)

    def record(self, number: int, results: Iterable[tuple[int, bool | None]]) -> None:
        """Take in a round's responses, from all processes.

        Args:
            results: for each response its problem, and whether it is right; None if it could not be judged. A problem
                that cannot be judged has been asked all the same: it waits until its turn comes again.
        """
        right: Counter[int] = Counter()
        judged: Counter[int] = Counter()
        for problem, correct in results:
            self._asked[problem] = number
            if correct is not None:
                right[problem] += correct
                judged[problem] += 1
        for problem, count in judged.items():
            before = self._tallies.get(problem, _UNKNOWN)
            self._tallies[problem] = Tally(_FADING * before.right + right[problem], _FADING * before.judged + count)

    def measures(self, chosen: Sequence[RoundPrompt]) -> dict[str, float]:
        """Numbers of problems inside the band and outside (tried, so skipped), and the share of prompts from outside.

        Call it before the round's responses are recorded.
        """
        inside = sum(map(self._is_inside, self._tallies))
        explored = sum(not self._is_inside(prompt.problem) for prompt in chosen)
        return {"in_band": inside, "skipped": len(self._tallies) - inside, "explored": explored / len(chosen)}

    def save(self, folder: Path) -> None:
        """Write the state to a checkpoint."""
        state = {
            str(problem): [*self._tallies.get(problem, _UNKNOWN), self._asked.get(problem, _NEVER)]
            for problem in {**self._tallies, **self._asked}
        }
        (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")

    def restore(self, folder: Path) -> None:
        """Continue from a checkpoint."""
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        tallies = {int(problem): Tally(right, judged) for problem, (right, judged, _) in state.items()}
        self._tallies = {problem: tally for problem, tally in tallies.items() if tally != _UNKNOWN}
        self._asked = {int(problem): number for problem, (_, _, number) in state.items() if number != _NEVER}

    def _draw(self, number: int, pool: range, count: int) -> list[int]:
        inside: list[int] = []
        outside: list[int] = []
        for problem in pool:
            (inside if self._is_inside(problem) else outside).append(problem)
        share = count * self._settings.explore
        explored = int((number + 1) * share) - int(number * share)  # right on average, also for few prompts
        known = nsmallest(count - explored, inside, self._turn)
        others = nsmallest(count - len(known), outside, self._turn)
        if len(known) + len(others) < count:
            known = nsmallest(count - len(others), inside, self._turn)
        drawn = known + others
        self._spare.append(sorted(set(inside).difference(drawn)) or sorted(set(outside).difference(drawn)) or pool)
        return list(islice(cycle(drawn), count))

    def _is_inside(self, problem: int) -> bool:
        tally = self._tallies.get(problem)
        low, high = self._settings.band
        return tally is not None and low - _ROUNDING <= tally.right / tally.judged <= high + _ROUNDING

    def _turn(self, problem: int) -> tuple[int, int]:
        """The longest not asked comes first, then a random order."""
        return self._asked.get(problem, _NEVER), self._order[problem]


class SavesDifficulty(TrainerCallback):
    """Keeps the state of a band in checkpoints."""

    def __init__(self, band: DifficultyBand):
        self._band = band

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.is_world_process_zero:
            self._band.save(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")


def _shuffled(pool: range, seed: int) -> list[int]:
    problems = [*pool]
    Random(seed_for(seed, "band order", pool.start)).shuffle(problems)
    return problems
