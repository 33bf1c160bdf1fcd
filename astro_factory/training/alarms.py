"""Alarms during reinforcement learning, for faults that look like a hard problem set.

Rates of verdicts show a broken verifier or prompt; the mismatch shows an engine with other probabilities than training;
the wording of backtracks shows a model whose language breaks while its reward still rises.
An alarm is logged when it begins and when it ends; the number of active alarms is the training curve `alarms`.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from astro_factory.core.errors import UserError
from astro_factory.core.verdicts import Outcome
from astro_factory.training.alarm_settings import Alarm

_WINDOW = 10
"""Growth is measured against the mean of this many earlier points of the curves."""
_FEW_BACKTRACKS = 0.1
"""Backtracks per response below which their wording is not judged."""
UNJUDGED = (Outcome.UNPARSEABLE_GOLD, Outcome.ERROR)
"""Outcomes that carry no information about the response."""


@dataclass(frozen=True, slots=True)
class _Quantity:
    """A monitored number."""

    text: str
    """A sentence's start, with the number."""
    question: str
    """What to ask if it is too high."""
    number: str = "{:.1%}"
    growth: bool = False
    """Whether it is compared with a multiple of its mean, as it has no natural scale."""
    negligible: float = 0.0
    """Values up to this one raise no alarm by their growth."""


_ENGINE = "does the engine run the same weights with the same data type and context as training?"
_QUANTITIES = {
    "no answer": _Quantity(
        "verdict 'no answer' for {} of the responses",
        "does the prompt explain how to state the answer, and is max_new_tokens high enough?",
    ),
    "timeout": _Quantity("verdict 'timeout' for {} of the responses", "does the verifier hang on some responses?"),
    "unjudged": _Quantity(
        "verdict 'unjudged' for {} of the responses", "does the verifier work, and can it parse every known answer?"
    ),
    "mismatch": _Quantity(
        "log-probabilities of the engine and of training differ by {} per token",
        _ENGINE,
        number="{:.3g}",
        growth=True,
        negligible=1e-3,
    ),
    "wording": _Quantity(
        "{} of the backtracks are not in the template's words",
        "does the model still write what people can read, and is the learning rate too high?",
    ),
    "corrected": _Quantity("{} of the sampled tokens have a cut importance weight", _ENGINE),
}


def verdict_rates(rates: Mapping[Outcome, float]) -> dict[str, float]:
    """The monitored rates of verdicts, from each outcome's share of the responses."""
    return {
        "no answer": rates[Outcome.NO_ANSWER],
        "timeout": rates[Outcome.TIMEOUT],
        "unjudged": sum(rates[outcome] for outcome in UNJUDGED),
    }


def wording_drift(measured: Mapping[str, Sequence[float]]) -> float | None:
    """The share of backtracks that are not in the template's words, from the means of a point's batches; None where the
    domain knows no states to count them by, or responses hardly backtrack."""
    if "repeated" not in measured:  # without states, backtracks are counted by their words
        return None
    moved, worded = sum(measured["backtracks"]), sum(measured["worded"])
    enough = _FEW_BACKTRACKS * len(measured["backtracks"])
    return max(0.0, 1 - worded / moved) if moved >= enough else None


class Alarms:
    """The alarms of one run; a resumed run starts without any."""

    def __init__(self, settings: Alarm, log: Callable[[str], None]):
        self._settings, self._log = settings, log
        self._history: deque[Mapping[str, float]] = deque(maxlen=_WINDOW)
        self._active: dict[str, str] = {}

    def update(self, step: int, values: Mapping[str, float]) -> int:
        """Process a point's value of each monitored quantity; returns the number of active alarms.

        Raises:
            UserError: E507 if an alarm begins and `stop` is set.
        """
        active = {name: cause for name, value in values.items() if (cause := self._cause(name, value))}
        self._history.append(dict(values))
        new = {name: cause for name, cause in active.items() if name not in self._active}
        for name in self._active.keys() - active.keys():
            self._log(f"alarm '{name}' ended at step {step}: {_text(name, values[name]) if name in values else 'gone'}")
        self._active = active
        for name, cause in new.items():
            self._log(f"ALARM at step {step}: {cause}; {_QUANTITIES[name].question}")
        if new and self._settings.stop:
            raise UserError.of(
                "E507",
                f"training stopped at step {step}: {'; '.join(new.values())}",
                "check the model's responses and the problems; to continue from the last checkpoint, set alarm.stop to "
                "false or raise the bounds of alarm",
            )
        return len(active)

    def _cause(self, name: str, value: float) -> str:
        """Why a value raises an alarm; empty if it does not."""
        number = _QUANTITIES[name].number.format
        bound = getattr(self._settings, name.replace(" ", "_"))
        if value > bound:
            return f"{_text(name, value)}, above the bound of {number(bound)}"
        earlier = [point[name] for point in self._history if name in point]
        if not earlier:
            return ""
        mean = sum(earlier) / len(earlier)
        highest = mean * self._settings.growth if _QUANTITIES[name].growth else mean + self._settings.jump
        if value > max(highest, _QUANTITIES[name].negligible):
            return f"{_text(name, value)}, up from {number(mean)} over the last {len(earlier)} points"
        return ""


def _text(name: str, value: float) -> str:
    quantity = _QUANTITIES[name]
    return quantity.text.format(quantity.number.format(value))
