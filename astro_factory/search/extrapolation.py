"""What the trees that are stored already say about the whole search: its tokens, its time and its yield.

The trees are those with the smallest keys. A key is a digest, so they are a random sample of the problems, unless an
interrupted search left more quick trees than slow ones.
"""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

from astro_factory.core.trees import unpack
from astro_factory.core.verdicts import Outcome
from astro_factory.core.workload import Extrapolation, Range
from astro_factory.store.files import write_atomic

MOST = 256
"""Most trees that are read; more would hardly narrow the intervals."""
_Z = NormalDist().inv_cdf(0.975)


class _Figures(NamedTuple):
    calls: int
    tokens: int
    solved: bool


def extrapolate(
    keys: Iterable[str], total: int, read: Callable[[str], bytes | None], speed: float | None
) -> Extrapolation | None:
    """The figures of a search of `total` problems from the trees with these keys.

    Args:
        keys: keys of the stored trees.
        read: returns the packed tree of a key.
        speed: sampled tokens per second of all processes together, if it is known.

    Returns:
        None with fewer than two trees, which have no spread.
    """
    stored = sorted(keys)
    figures = [_figures(data) for key in stored[:MOST] if (data := read(key)) is not None]
    if len(figures) < 2:
        return None
    left = total - len(stored)
    tokens = mean_range([tree.tokens for tree in figures]).times(left)
    return Extrapolation(
        unit="trees",
        done=len(stored),
        total=total,
        calls=mean_range([tree.calls for tree in figures]).times(left),
        tokens=tokens,
        seconds=tokens.times(1 / speed) if speed else None,
        solved=share_range(sum(tree.solved for tree in figures), len(figures)),
    )


def _figures(data: bytes) -> _Figures:
    batch = unpack(data)
    verdicts = batch.column("nodes").values.field("verdict").to_pylist()
    return _Figures(len(batch.column("calls")[0]), batch.column("tokens")[0].as_py(), Outcome.CORRECT in verdicts)


def mean_range(values: list[int]) -> Range:
    """The mean with its 95 % interval by Student's t."""
    mean, error = fmean(values), stdev(values) / math.sqrt(len(values))
    return Range(mean, max(0.0, mean - _t(len(values) - 1) * error), mean + _t(len(values) - 1) * error)


def share_range(hits: int, count: int) -> Range:
    """A share with its 95 % interval by Wilson, which holds for small counts and near 0 and 1."""
    share, z2 = hits / count, _Z**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return Range(share, max(0.0, middle - half), min(1.0, middle + half))


def _t(freedom: int) -> float:
    """The 97.5 % quantile of Student's t (Abramowitz and Stegun, 26.7.5); exact for one and two degrees of freedom."""
    if freedom <= 2:
        return (12.7062, 4.3027)[freedom - 1]
    z = _Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


class Speed:
    """The speed of a search, kept in its scratch folder so that it survives an interruption."""

    def __init__(self, scratch: Path):
        self._path = scratch / "speed.json"
        self._tokens, self._seconds = _read(self._path)

    def add(self, tokens: int, seconds: float) -> None:
        """Count what was sampled in a time without the start of the engines."""
        self._tokens, self._seconds = self._tokens + tokens, self._seconds + seconds
        if self._tokens:
            write_atomic(self._path, json.dumps([self._tokens, self._seconds]).encode(), durable=False)

    @property
    def tokens_per_s(self) -> float | None:
        return self._tokens / self._seconds if self._tokens and self._seconds else None


def _read(path: Path) -> tuple[int, float]:
    try:
        tokens, seconds = json.loads(path.read_bytes())
        return int(tokens), float(seconds)
    except (OSError, ValueError, TypeError):
        return 0, 0.0
