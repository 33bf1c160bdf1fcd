"""The options of a build."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astro_factory.runtime.spending import Spending
    from astro_factory.store.caches import Cache


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The choices that a build leaves to the command line; everything else is in the spec."""

    jobs: int | None = None
    """Cores to use; by default all."""
    keep_going: bool = True
    """Whether to start stages after another one failed."""
    locked: bool = False
    """Whether to refuse inputs that differ from the lock file."""
    use_imports: bool = True
    """Whether to use the store exports that the spec offers."""
    caches: "Sequence[Cache]" = ()
    """Where to look for results that are neither in the store nor in the spec's exports."""
    trust: bool = False
    """Whether to run code that a publication names."""
    continue_across: Collection[str] = ()
    """Stages that may continue the checkpoint of a run that differs only in the last bits of its results."""
    spending: "Spending | None" = None
    """Stops the build at a limit."""
