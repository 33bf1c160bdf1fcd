"""Rollouts one step off-policy: the next round is sampled while this one trains.

A round's responses come from the weights before the last update, and the first round's from the initial weights. The
loss corrects for that as AReaL's decoupled objective does (arXiv 2505.24298, equation 5; Hilton et al., arXiv
2110.00641): the policy at the start of the round takes the place of the old policy in the clipped ratio, and each token
counts by the ratio of its probability under that policy to the one under the policy that sampled it, truncated so that
its variance stays bounded (truncated importance sampling: Ionides 2008; IMPALA, arXiv 1802.01561).

What a round samples depends on its number and those weights alone, so overlapping it with training changes no result.
Checkpoints hold the round that waits, because the weights that sampled it are gone.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from astro_factory.training.dynamic_sampling import Asked, SampledRound
from astro_factory.training.grpo_task import GeneratedSample

_FILE = "next_round-{rank}.parquet"
"""File in a checkpoint; each process has the groups that it sampled."""
_STEP, _WEIGHTS = b"step", b"weights"

Groups = SampledRound[Sequence[GeneratedSample]]


@dataclass(frozen=True)
class Ahead:
    """A round that was sampled before its turn."""

    step: int
    """Optimizer steps before the round."""
    weights: int
    """Optimizer steps of the weights that sampled it."""
    groups: Groups


@dataclass(frozen=True)
class StoredSample:
    """A response that a checkpoint held."""

    ids: list[int]
    logprobs: list[float]


class RoundsAhead(TrainerCallback):
    """Samples each round before the one ahead of it trains.

    Args:
        overlaps: whether sampling runs in a thread while training goes on. Its results are the same.
    """

    def __init__(self, overlaps: bool):
        self._pool = ThreadPoolExecutor(1, "rollouts") if overlaps else None
        self._next: Future[Ahead] | None = None

    def take(self, step: int, following: int | None, sample: Callable[[int], Groups]) -> Ahead:
        """The round at `step`. Starts to sample the one that follows, if there is one, from the current weights.

        Args:
            step, following: optimizer steps before these rounds.
            sample: samples the round at a step.
        """
        found = Ahead(step, step, sample(step)) if self._next is None else self._next.result()
        self._next = None
        if found.step != step:
            raise RuntimeError(f"the round of step {found.step} was sampled for step {step}")
        if following is not None:
            self._next = self._start(lambda: Ahead(following, step, sample(following)))
        return found

    def wait(self) -> None:
        """Wait for the round that is being sampled: its weights must not change. Raises what sampling raised."""
        if self._next is not None:
            self._next.result()

    def _start(self, make: Callable[[], Ahead]) -> "Future[Ahead]":
        if self._pool:
            return self._pool.submit(make)
        done: Future[Ahead] = Future()
        done.set_result(make())
        return done

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._next is not None:
            folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            write_round(folder / _FILE.format(rank=args.process_index), self._next.result())

    def resume(self, checkpoint: str | None, rank: int) -> None:
        """Continue with the round that waited in a checkpoint; after the last round there is none."""
        if checkpoint and (file := Path(checkpoint) / _FILE.format(rank=rank)).exists():
            self._next = Future()
            self._next.set_result(read_round(file))


def write_round(file: Path, ahead: Ahead) -> None:
    """Write a round: a row for each group, the kept ones first."""
    found = ahead.groups
    rows = [
        {
            "problem": asked.problem if asked else None,
            "seeds": asked.seeds if asked else [],
            "ids": [list(sample.ids) for sample in group],
            "logprobs": [list(sample.logprobs) for sample in group],
        }
        for asked, group in [
            *zip(found.asked, found.groups, strict=True),
            *((None, group) for group in found.replaced),
        ]
    ]
    schema = pa.schema(
        {
            "problem": pa.int64(),
            "seeds": pa.list_(pa.uint64()),
            "ids": pa.list_(pa.list_(pa.int32())),
            "logprobs": pa.list_(pa.list_(pa.float64())),
        },
        {_STEP: str(ahead.step), _WEIGHTS: str(ahead.weights)},
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), file, compression="zstd")


def read_round(file: Path) -> Ahead:
    """The round that `write_round` wrote."""
    table = pq.read_table(file)
    rows, facts = table.to_pylist(), table.schema.metadata
    groups = [list(map(StoredSample, row["ids"], row["logprobs"])) for row in rows]
    asked = [Asked(row["problem"], row["seeds"]) for row in rows if row["problem"] is not None]
    kept, replaced = groups[: len(asked)], groups[len(asked) :]
    return Ahead(int(facts[_STEP]), int(facts[_WEIGHTS]), SampledRound(asked, [*kept], [*replaced]))
