"""Notices after the first trees that the model does not write steps in the policy's format."""

from collections.abc import Callable

from astro_factory.core.errors import UserError
from astro_factory.core.step_format import StepFormat
from astro_factory.search.engine_worker import SearchProgress

FIRST_TREES = 8
"""Trees after which a format that has never matched is an error, so that no more is spent on it."""
_REMEDY = "ask for this format in the policy's system_prompt, or set 'steps' to what the model writes"


class StepCheck:
    """Counts the samples of a search that its step format splits."""

    def __init__(self, steps: StepFormat | None, log: Callable[[str], None]):
        self._steps, self._log = steps, log
        self._trees = self._samples = 0
        self._done = steps is None

    def add(self, progress: SearchProgress, last: bool) -> None:
        """Count the samples of finished trees.

        A format with markers that occur nowhere leaves trees without steps, which is an error. Without markers, a whole
        solution is one step: that is a warning.

        Raises:
            UserError: E625 after the first trees.
        """
        self._trees, self._samples = self._trees + len(progress.trees), self._samples + progress.samples
        self._done = self._done or progress.split_samples > 0
        if self._done or not self._samples or not (last or self._trees >= FIRST_TREES):
            return
        self._done = True
        assert self._steps is not None
        pattern = f", pattern: '{self._steps.pattern}'" if self._steps.pattern else ""
        what = "a step" if self._steps.has_markers else "more than one step"
        cause = (
            f"none of {self._samples} samples of the first {self._trees} trees has {what} in the policy's step format "
            f"(format: {self._steps.format}{pattern}); one begins: {progress.unsplit!r}"
        )
        if self._steps.has_markers:
            raise UserError.of("E625", cause, _REMEDY)
        self._log(f"{cause}; {_REMEDY}")
