"""Watches the rates of verdicts while training runs: a verifier or a prompt that fails looks like a hard problem set.

A rate in alarm is told when the alarm begins and when it ends; how many are is a curve of its own, `alarms`.
"""

from collections import deque
from collections.abc import Callable, Mapping

from astro_factory.core.errors import UserError
from astro_factory.core.verdicts import Outcome
from astro_factory.training.settings import VerdictAlarm

_WINDOW = 10
"""Points of the curves before this one that a jump is measured against."""
UNJUDGED = (Outcome.UNPARSEABLE_GOLD, Outcome.ERROR)
"""Outcomes that say nothing about the response."""
_MEANS = {
    "no answer": "does the prompt say how to state one, and is max_new_tokens enough?",
    "timeout": "do responses hold what hangs the verifier?",
    "unjudged": "does the verifier run, and can it read every known answer?",
}
"""What is watched, and what to ask where it is too often."""


class VerdictMonitor:
    """The state of all alarms of one run; not kept over a resume."""

    def __init__(self, settings: VerdictAlarm, tell: Callable[[str], None]):
        self._settings, self._tell = settings, tell
        self._before: deque[Mapping[str, float]] = deque(maxlen=_WINDOW)
        self._sounding: dict[str, str] = {}

    def hear(self, step: int, rates: Mapping[Outcome, float]) -> int:
        """Take a step's rate of each outcome; how many alarms there are.

        Raises:
            UserError: E507 if one begins and the settings say that training is to stop.
        """
        watched = {
            "no answer": rates[Outcome.NO_ANSWER],
            "timeout": rates[Outcome.TIMEOUT],
            "unjudged": sum(rates[outcome] for outcome in UNJUDGED),
        }
        sounding = {name: cause for name, rate in watched.items() if (cause := self._cause(name, rate))}
        self._before.append(watched)
        begun = {name: cause for name, cause in sounding.items() if name not in self._sounding}
        for name in self._sounding.keys() - sounding.keys():
            self._tell(f"the alarm '{name}' ends at step {step}, at {watched[name]:.1%} of the responses")
        self._sounding = sounding
        for name, cause in begun.items():
            self._tell(f"ALARM at step {step}: {cause}; {_MEANS[name]}")
        if begun and self._settings.stop:
            raise UserError.of(
                "E507",
                f"training stopped at step {step}: {'; '.join(begun.values())}",
                "look at what the model says and at its problems; or set alarm.stop to false, or raise the alarm's "
                "bounds: training then goes on from its last checkpoint",
            )
        return len(sounding)

    def _cause(self, name: str, rate: float) -> str:
        """Why a rate is in alarm; empty if it is not."""
        bound = getattr(self._settings, name.replace(" ", "_"))
        if rate > bound:
            return f"verdict '{name}' for {rate:.1%} of the responses, over the bound of {bound:.1%}"
        usual = sum(rates[name] for rates in self._before) / len(self._before) if self._before else rate
        if rate - usual > self._settings.jump:
            return (
                f"verdict '{name}' for {rate:.1%} of the responses, after {usual:.1%} in the {len(self._before)} before"
            )
        return ""
