"""Which generated problems are held out: a hash of what makes a problem decides, so no two sources can disagree.

The hash puts each problem into one of ten buckets: bucket 0 is `test`, bucket 1 is `dev` and the others are `train`.
"""

import hashlib
from collections.abc import Collection
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator

Split = Literal["train", "dev", "test"]
BUCKETS: dict[Split, range] = {"test": range(1), "dev": range(1, 2), "train": range(2, 10)}


@lru_cache(maxsize=1 << 16)
def bucket_of(identity: str) -> int:
    """The bucket, from 0 to 9, of what makes a problem."""
    return int(hashlib.sha256(identity.encode()).hexdigest(), 16) % 10


def split_of(identity: str) -> Split:
    """The split of what makes a problem."""
    return next(split for split, buckets in BUCKETS.items() if bucket_of(identity) in buckets)


def is_drawn(identity: str, split: Split, buckets: Collection[int] = ()) -> bool:
    """Whether a source of this split and, if any are named, of these buckets draws the problem."""
    return bucket_of(identity) in (buckets or BUCKETS[split])


def _of_training(buckets: list[int]) -> list[int]:
    if not set(buckets) <= set(BUCKETS["train"]):
        raise ValueError("the buckets of the training split are 2 to 9")
    return sorted(set(buckets))


TrainingBuckets = Annotated[list[int], AfterValidator(_of_training)]
"""Some of the training split's buckets; all of them if empty."""


def check_buckets(split: Split, buckets: Collection[int]) -> None:
    """Raises ValueError where buckets are named and the split is not the training split."""
    if buckets and split != "train":
        raise ValueError(f"'buckets' divides the training split, and 'split' is {split}")
