"""The record of a translation: where each setting of a stage stands in a trainer's config, or how the trainer differs.

No setting is dropped silently: what a module neither writes nor explains becomes a difference by itself, if it
is not at its default.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from astro_factory.core.config import Config


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the trainer does otherwise than the stage."""

    setting: str
    """The field of the stage, such as `launch.deepspeed`; or a word for what no field names, such as `order`."""
    value: Any
    """The field's value, as JSON; None for a field with fields below it, and if there is no field."""
    text: str
    """What happens instead."""


@dataclass(frozen=True, slots=True)
class Written:
    """A setting that the trainer's config has."""

    setting: str
    value: Any
    key: str
    """Its place in the trainer's config."""


class Translation:
    """Collects a trainer's config, its differences, and which settings have been dealt with."""

    def __init__(self, settings: Config):
        self.config: dict[str, Any] = {}
        self.written: list[Written] = []
        self.differences: list[Difference] = []
        leaves = list(_leaves(settings))
        self._values = {name: value for name, value, _ in leaves}
        self._defaults = {name for name, value, default in leaves if value == default}
        self._open = set(self._values) - {"kind"}

    def put(self, key: str, value: Any, *settings: str) -> None:
        """Set `a.b.c` in the config; the value comes from these settings, or is one that the trainer needs."""
        *path, last = key.split(".")
        place = self.config
        for name in path:
            place = place.setdefault(name, {})
        place[last] = value
        for setting in settings:
            self.written.append(Written(setting, self._value(setting), key))
            self.done(setting)

    def differs(self, setting: str, text: str, *, when: bool = True) -> None:
        """Explain a difference, unless `when` is false: then the trainer does what the stage does."""
        if when:
            self.differences.append(Difference(setting, self._value(setting), text))
        self.done(setting)

    def done(self, *settings: str) -> None:
        """These settings, with the fields below them, have been dealt with or mean nothing to a trainer."""
        self._open = {
            name
            for name in self._open
            if not any(name == setting or name.startswith(f"{setting}.") for setting in settings)
        }

    def finish(self, trainer: str) -> None:
        """Turn settings that are neither written nor explained into differences, if they are not at their defaults."""
        for name in sorted(self._open - self._defaults):
            self.differs(name, f"{trainer} has no such setting")

    def _value(self, setting: str) -> Any:
        """The value of a field; None for one that has fields below it."""
        return self._values.get(setting)


def _leaves(settings: Config, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted name, value and default of each field, as JSON."""
    plain = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value, default = getattr(settings, name), field.get_default(call_default_factory=True)
        if isinstance(value, Config):
            inner = _leaves(value, f"{prefix}{name}.")
            # a part that is off by default is a difference, also where its own fields are at their defaults
            yield from inner if default is not None else ((path, leaf, ...) for path, leaf, _ in inner)
        else:
            default = list(default) if isinstance(default, tuple) else default
            yield prefix + name, plain[name], default
