"""The search policy `until_correct`: one rollout after another until one is correct."""

from typing import Literal

from pydantic import Field

from astro_factory.search.config import SamplingConfig
from astro_factory.search.tree_builder import PolicyRun, SampleRequest, TreeBuilder


class Config(SamplingConfig):
    """Rollouts from the root, one at a time, until one is correct."""

    kind: Literal["until_correct"]
    attempts: int = Field(8, gt=0)
    """Most rollouts of a problem."""

    def limits(self) -> tuple[int, int]:
        return self.attempts, self.attempts * self.max_rollout_tokens


def grow(builder: TreeBuilder, config: Config) -> PolicyRun:
    for attempt in range(1, config.attempts + 1):
        request = SampleRequest(0, "rollout", 1, config.max_rollout_tokens, config.rollout_stop)
        [samples] = yield from builder.sample(request)
        for sample in samples:
            builder.add_path(0, builder.parse(0, sample), [])
        builder.tree.iterations = attempt
        correct, _ = builder.count_terminals()
        if correct:
            break
