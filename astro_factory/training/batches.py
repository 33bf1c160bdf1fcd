"""The sequences of each optimizer step, planned before training from lengths and a seed alone.

    steps = plan_steps(lengths, epochs=2, batch_size=64, seed=0)     # steps[7] == [312, 5, 1801, ...]
    micro = split_step(steps[7], lengths, parts=2)                   # nearly equal token counts, little padding

Neither the number of processes nor a resume changes the content of a step.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random

from astro_factory.core.canonical import seed_for
from astro_factory.training.settings import SFTSettings

_WIDTH_UNIT = 16


def padded_width(longest: int) -> int:
    """Width to which a batch is padded: a multiple of 16, so that few different shapes occur.

    CPU libraries compile and cache a kernel for each shape; a new shape at every step costs time and ever more memory.
    """
    return -(-longest // _WIDTH_UNIT) * _WIDTH_UNIT


def steps_of(settings: SFTSettings, lengths: Sequence[int], tokens: int | None = None) -> list[list[int]]:
    """`plan_steps` with the settings of a stage; with `tokens`, as many steps as have nearly that many tokens."""
    return plan_steps(
        lengths,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        batch_tokens=settings.batch_tokens,
        max_steps=settings.max_steps,
        tokens=tokens,
        length_window=settings.length_window,
        seed=settings.seed,
    )


def plan_steps(
    lengths: Sequence[int],
    *,
    epochs: int,
    batch_size: int,
    batch_tokens: int | None = None,
    max_steps: int | None = None,
    tokens: int | None = None,
    length_window: int = 1,
    seed: int = 0,
) -> list[list[int]]:
    """Sequence indices of each optimizer step.

    An epoch visits every sequence once, in random order. Within windows of `length_window` steps, sequences are sorted
    by length before they are split into steps, and the steps are shuffled again. A step has `batch_size` sequences, or
    as many as fit into `batch_tokens` tokens, padding included (at least one).

    `max_steps` overrides `epochs`. `tokens` overrides both: there are as many steps as come nearest to that many tokens
    without padding, so the difference is at most half a step.
    """
    cut = _by_tokens(lengths, batch_tokens) if batch_tokens else _by_count(batch_size)
    size = max(1, batch_tokens * len(lengths) // max(1, sum(lengths))) if batch_tokens else batch_size
    steps: list[list[int]] = []
    epoch = seen = 0

    def is_enough() -> bool:
        if tokens:
            return seen >= tokens
        return len(steps) >= max_steps if max_steps else epoch >= epochs

    while not is_enough():
        random = Random(seed_for(seed, "training order", epoch))
        order = list(range(len(lengths)))
        random.shuffle(order)
        if length_window > 1:
            window = size * length_window
            for start in range(0, len(order), window):
                order[start : start + window] = sorted(order[start : start + window], key=lambda i: lengths[i])
        batches = cut(order)
        if length_window > 1:
            random.shuffle(batches)
        steps += batches
        epoch, seen = epoch + 1, seen + sum(lengths)
    return _nearest(steps, lengths, tokens) if tokens else steps[:max_steps]


def _nearest(steps: list[list[int]], lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """The first steps (at least one) whose number of tokens is nearest to `tokens`."""
    seen = list(accumulate(sum(lengths[i] for i in step) for step in steps))
    return steps[: 1 + min(range(len(seen)), key=lambda count: abs(seen[count] - tokens))]


def split_step(step: Sequence[int], lengths: Sequence[int], parts: int) -> list[list[int]]:
    """A step's sequences in `parts` micro-batches of similar lengths and nearly equal tokens; some may be empty."""
    ordered = sorted(step, key=lambda i: lengths[i])
    total = sum(lengths[i] for i in ordered)
    micro: list[list[int]] = [[] for _ in range(parts)]
    seen = 0
    for index in ordered:
        # Place a sequence by its middle, so that one long sequence does not empty its neighbours.
        middle = seen + lengths[index] / 2
        micro[min(parts - 1, int(parts * middle / total))].append(index)
        seen += lengths[index]
    return micro


def _by_count(size: int) -> Callable[[list[int]], list[list[int]]]:
    return lambda order: [order[i : i + size] for i in range(0, len(order), size)]


def _by_tokens(lengths: Sequence[int], budget: int) -> Callable[[list[int]], list[list[int]]]:
    def cut(order: list[int]) -> list[list[int]]:
        batches: list[list[int]] = []
        width = 0
        for index in order:
            wider = max(width, padded_width(lengths[index]))
            if not batches or (len(batches[-1]) + 1) * wider > budget:
                batches.append([])
                wider = padded_width(lengths[index])
            batches[-1].append(index)
            width = wider
        return batches

    return cut
