"""What responses earn: their text, verdict and reward, and which groups of them teach nothing."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from astro_factory.core.verdicts import Outcome
from astro_factory.training.alarms import UNJUDGED
from astro_factory.training.dynamic_sampling import Asked
from astro_factory.training.grpo_task import GeneratedSample, Task
from astro_factory.training.rewards import reward_of
from astro_factory.training.settings import GRPOSettings

Result = tuple[int, bool | None]
"""A problem, and whether a response to it is right; None if it could not be judged."""


class Judged(NamedTuple):
    """Responses as the verifier and the reward see them."""

    problems: Sequence[int]
    texts: list[str]
    outcomes: list[Outcome]
    rewards: list[float | None]
    """None for a response that could not be judged."""

    @property
    def results(self) -> list[Result]:
        """What the difficulty band takes in."""
        pairs = zip(self.problems, self.outcomes, strict=True)
        return [(problem, None if outcome in UNJUDGED else outcome is Outcome.CORRECT) for problem, outcome in pairs]


class ResponseJudge:
    """Judges responses to the problems of a task.

    Args:
        ends: token ids that end a response; one without them was cut off.
    """

    def __init__(self, settings: GRPOSettings, task: Task, tokenizer: PreTrainedTokenizerBase, ends: Collection[int]):
        self._settings, self._task, self._tokenizer, self._ends = settings, task, tokenizer, ends

    def judge(self, problems: Sequence[int], responses: Sequence[Sequence[int]]) -> Judged:
        """Judge one response, as token ids, to each of these problems."""
        pairs = zip(problems, responses, strict=True)
        whole = [[*self._task.beginning_ids(self._tokenizer, problem), *ids] for problem, ids in pairs]
        texts = self._tokenizer.batch_decode(whole, skip_special_tokens=True)
        asked = [self._task.problems[index] for index in problems]
        # in threads: an answer whose comparison takes seconds holds up one of them, and not all processes
        with ThreadPoolExecutor(self._task.judges) as threads:
            outcomes = [verdict.outcome for verdict in threads.map(self._task.judge, asked, texts)]
        truncated = [ids[-1] not in self._ends for ids in responses]
        lengths = [len(ids) / self._settings.max_new_tokens for ids in responses]
        judged = zip(outcomes, truncated, lengths, strict=True)
        return Judged(problems, texts, outcomes, [reward_of(self._settings.reward, *response) for response in judged])

    def flat_groups(
        self, asked: Sequence[Asked], groups: Sequence[Sequence[GeneratedSample]]
    ) -> tuple[list[bool], list[Result]]:
        """For each group whether all its responses that could be judged earn the same; and the results of those."""
        size = self._settings.group_size
        problems = [one.problem for one in asked for _ in range(size)]
        found = self.judge(problems, [sample.ids for group in groups for sample in group])
        shares = [slice(start, start + size) for start in range(0, len(problems), size)]
        flat = [len(set(found.rewards[share]) - {None}) <= 1 for share in shares]
        results = found.results
        return flat, [one for share, is_flat in zip(shares, flat, strict=True) if is_flat for one in results[share]]
