"""Practice documents of several skills, each made from the configuration and its position alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.context import StageContext
from astro_factory.core.dialogues import dialogue_schema
from astro_factory.core.tables import write_table

_REPORT_EVERY = 5000
S = TypeVar("S", bound=str)


def weighted(weights: Mapping[S, float], order: Sequence[S], what: str = "skill") -> dict[S, float]:
    """The weights in the order in which names are drawn from; that of a mapping in a spec does not count.

    Raises:
        ValueError: there is no weight above 0, or one below.
    """
    if not weights or min(weights.values()) < 0 or not sum(weights.values()):
        raise ValueError(f"needs at least one {what}, with weights of which none is below 0")
    return {name: weights[name] for name in order if name in weights}


def write_documents(ctx: StageContext, make: Callable[[int], dict[str, Any]], count: int) -> None:
    """Write the `dialogues` artifact of the documents at the positions below `count`, with progress."""
    write_table(ctx.out / TABLE_FILES[ArtifactType.DIALOGUES], _reported(ctx, make, count), dialogue_schema())


def _reported(ctx: StageContext, make: Callable[[int], dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    for index in range(count):
        yield make(index)
        if (index + 1) % _REPORT_EVERY == 0:
            ctx.events.progress(index + 1, count, "documents")
