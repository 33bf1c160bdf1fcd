"""The table of verifiers. A verifier's module is imported when it is first asked for.

Beside the names of the table, a problem may name any class as `python:package.module:Class`, and an installed package
can add names through the entry point group `astro_factory.verifiers`.
"""

import difflib
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points

from astro_factory.core.errors import UserError
from astro_factory.verifiers.base import Verifier

_GROUP = "astro_factory.verifiers"
_OWN = "python:"
_TABLE = {
    "countdown": "astro_factory.verifiers.countdown:Countdown",
    "math": "astro_factory.verifiers.math.verifier:MathVerifier",
    "reasoning_gym": "astro_factory.verifiers.gym:ReasoningGymVerifier",
}


def verifier_names() -> list[str]:
    """Every name that `get_verifier` knows, without `python:` ones."""
    return sorted({*_TABLE, *(point.name for point in entry_points(group=_GROUP))})


def is_known(name: str) -> bool:
    """Whether there is a verifier of this name; one of `python:` is not looked for."""
    return user_code_target(name) is not None or name in _TABLE or name in verifier_names()


def user_code_target(name: str) -> str | None:
    """`module:Class` of a verifier of one's own; None for the name of another."""
    return name.removeprefix(_OWN) if name.startswith(_OWN) else None


@lru_cache
def get_verifier(name: str) -> Verifier:
    """The verifier of this name; one instance a process.

    Raises:
        UserError: E401 if there is no such name, E402 if what it names cannot be used.
    """
    target = _target(name)
    module, _, attribute = target.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError.of(
            "E402",
            f"verifier '{name}' cannot be loaded from {target} ({error})",
            "install the package, or write python:package.module:Class",
        ) from error
    if not (isinstance(found, type) and issubclass(found, Verifier)):
        raise UserError.of(
            "E402",
            f"verifier '{name}' is {target}, which is not a verifier",
            "derive the class from astro_factory.verifiers.base.Verifier",
        )
    return found()


def _target(name: str) -> str:
    if (own := user_code_target(name)) is not None:
        return own
    if name in _TABLE:
        return _TABLE[name]
    for point in entry_points(group=_GROUP):
        if point.name == name:
            return point.value
    names = verifier_names()
    near = difflib.get_close_matches(name, names, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"choose one of {', '.join(names)}"
    raise UserError.of("E401", f"unknown verifier '{name}'", remedy)
