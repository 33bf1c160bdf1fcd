"""Checks samples before they enter a tree: a wrong count or impossible values are the engine's fault."""

import math
from collections.abc import Sequence

from astro_factory.core.errors import UserError
from astro_factory.engines.base import Request, Sample

_FINISHES = ("stop", "eos", "length")
_REMEDY = "fix the engine or its server and run the command again; finished trees are kept"


def check_samples(request: Request, samples: Sequence[Sample]) -> list[Sample]:
    """The samples, if they are a valid answer to the request.

    Raises:
        UserError: E612 for a wrong number of samples, E613 for an invalid sample.
    """
    if len(samples) != len(request.seeds):
        raise UserError.of(
            "E612", f"the engine returned {len(samples)} samples for {len(request.seeds)} seeds", _REMEDY
        )
    for sample in samples:
        if fault := _fault(sample):
            raise UserError.of("E613", f"the engine returned an invalid sample: {fault}", _REMEDY)
    return list(samples)


def _fault(sample: Sample) -> str:
    if len(sample.ids) != len(sample.logprobs):
        return f"{len(sample.ids)} tokens with {len(sample.logprobs)} log-probabilities"
    if sample.finish not in _FINISHES:
        return f"unknown finish reason {sample.finish!r}"
    # A sum is finite only if every part is; positive values beyond rounding show in the sum too.
    if not math.isfinite(total := sum(sample.logprobs)) or total > 0.01 * (1 + len(sample.ids)):
        return f"its log-probabilities add up to {total}"
    return ""
