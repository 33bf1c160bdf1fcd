"""Monitors verdict rates during training: a broken verifier or prompt looks just like a hard problem set.

An alarm is logged when it begins and when it ends; the number of active alarms is the training curve `alarms`.
"""

from collections import deque
from collections.abc import Callable, Mapping

from astro_factory.core.errors import UserError
from astro_factory.core.verdicts import Outcome
from astro_factory.training.settings import VerdictAlarm

_WINDOW = 10
"""A jump is measured against the mean of this many earlier points of the curves."""
UNJUDGED = (Outcome.UNPARSEABLE_GOLD, Outcome.ERROR)
"""Outcomes that carry no information about the response."""
_QUESTIONS = {
    "no answer": "does the prompt explain how to state the answer, and is max_new_tokens high enough?",
    "timeout": "does the verifier hang on some responses?",
    "unjudged": "does the verifier work, and can it parse every known answer?",
}
"""Each monitored rate, with the question to ask if it is too high."""


class VerdictMonitor:
    """The alarms of one run; a resumed run starts without any."""

    def __init__(self, settings: VerdictAlarm, log: Callable[[str], None]):
        self._settings, self._log = settings, log
        self._history: deque[Mapping[str, float]] = deque(maxlen=_WINDOW)
        self._active: dict[str, str] = {}

    def update(self, step: int, rates: Mapping[Outcome, float]) -> int:
        """Process a step's rate of each outcome; returns the number of active alarms.

        Raises:
            UserError: E507 if an alarm begins and `stop` is set.
        """
        monitored = {
            "no answer": rates[Outcome.NO_ANSWER],
            "timeout": rates[Outcome.TIMEOUT],
            "unjudged": sum(rates[outcome] for outcome in UNJUDGED),
        }
        active = {name: cause for name, rate in monitored.items() if (cause := self._cause(name, rate))}
        self._history.append(monitored)
        new = {name: cause for name, cause in active.items() if name not in self._active}
        for name in self._active.keys() - active.keys():
            self._log(f"alarm '{name}' ended at step {step}: {monitored[name]:.1%} of the responses")
        self._active = active
        for name, cause in new.items():
            self._log(f"ALARM at step {step}: {cause}; {_QUESTIONS[name]}")
        if new and self._settings.stop:
            raise UserError.of(
                "E507",
                f"training stopped at step {step}: {'; '.join(new.values())}",
                "check the model's responses and the problems; to continue from the last checkpoint, set alarm.stop to "
                "false or raise the bounds of alarm",
            )
        return len(active)

    def _cause(self, name: str, rate: float) -> str:
        """Why a rate raises an alarm; empty if it does not."""
        bound = getattr(self._settings, name.replace(" ", "_"))
        if rate > bound:
            return f"verdict '{name}' for {rate:.1%} of the responses, above the bound of {bound:.1%}"
        mean = sum(rates[name] for rates in self._history) / len(self._history) if self._history else rate
        if rate - mean > self._settings.jump:
            return (
                f"verdict '{name}' for {rate:.1%} of the responses, up from {mean:.1%} over the last "
                f"{len(self._history)} points"
            )
        return ""
