"""What an engine gave, looked at before it enters a tree: a wrong count or garbage is the engine's, not the model's."""

import math
from collections.abc import Sequence

from astro_factory.core.errors import UserError
from astro_factory.engines.base import Request, Sample

_FINISHES = ("stop", "eos", "length")
_REMEDY = "finished trees are kept; mend the engine or its server, and the same command goes on from there"


def checked(request: Request, samples: Sequence[Sample]) -> list[Sample]:
    """The samples, if they can be an answer to the request.

    Raises:
        UserError: E612 for another number of samples than was asked for, E613 for samples that cannot be.
    """
    if len(samples) != len(request.seeds):
        raise UserError.of("E612", f"the engine gave {len(samples)} samples for {len(request.seeds)} seeds", _REMEDY)
    for sample in samples:
        if fault := _fault(sample):
            raise UserError.of("E613", f"the engine gave a sample that cannot be: {fault}", _REMEDY)
    return list(samples)


def _fault(sample: Sample) -> str:
    if len(sample.ids) != len(sample.logprobs):
        return f"{len(sample.ids)} tokens with {len(sample.logprobs)} log-probabilities"
    if sample.finish not in _FINISHES:
        return f"it ended by {sample.finish!r}"
    # A sum is finite only if every part is; positive ones beyond rounding are looked for only then.
    if not math.isfinite(total := sum(sample.logprobs)) or total > 0.01 * (1 + len(sample.ids)):
        return f"its log-probabilities add up to {total}"
    return ""
