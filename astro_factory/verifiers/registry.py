"""Verifiers by name. A verifier's module is imported when it is first used.

Beside the names of the table, a problem may name any class as `python:package.module:Class`, and an installed package
adds names through the entry-point group `astro_factory.verifiers`.
"""

from contextlib import suppress
from functools import lru_cache

from astro_factory.core.errors import UserError, near
from astro_factory.core.registry import Registry
from astro_factory.core.user_code import code_digest, load_target
from astro_factory.verifiers.base import Verifier

_OWN = "python:"
VERIFIERS = Registry(
    "astro_factory.verifiers",
    "verifier",
    "E402",
    {
        "choice": "astro_factory.verifiers.choice:ChoiceVerifier",
        "countdown": "astro_factory.verifiers.countdown:Countdown",
        "guess_in_turn": "astro_factory.verifiers.domains.guess_in_turn:GuessInTurn",
        "guess_number": "astro_factory.verifiers.domains.guess_number:GuessNumber",
        "kinship": "astro_factory.verifiers.domains.kinship:Kinship",
        "mastermind": "astro_factory.verifiers.domains.mastermind:Mastermind",
        "math": "astro_factory.verifiers.math.verifier:MathVerifier",
        "reasoning_gym": "astro_factory.verifiers.gym:ReasoningGymVerifier",
        "sorting": "astro_factory.verifiers.domains.sorting:Sorting",
    },
)


def verifier_names() -> list[str]:
    """Every name that `get_verifier` knows, without those of the form `python:...`."""
    return VERIFIERS.names()


def is_known(name: str) -> bool:
    """Whether there is a verifier of this name; a `python:` class is not looked for. Raises UserError E125."""
    return _user_target(name) is not None or VERIFIERS.target(name) is not None


_MOVED = {"mastermind": "2", "math": "6"}
"""Built-in verifiers whose verdicts, steps or facts have changed since stages were first keyed by them. Only what uses
them is keyed anew."""


def verifier_code(name: str) -> str:
    """What keys contain of a verifier's code: the digest of its source, or the version of a built-in one that moved.

    Empty for the others and for an unknown name.
    """
    if name in _MOVED:
        return _MOVED[name]
    if name not in VERIFIERS.builtin:
        with suppress(UserError):  # of a name that two packages define, which `is_known` reports
            return code_digest(_user_target(name) or VERIFIERS.target(name) or "")
    return ""


def _user_target(name: str) -> str | None:
    """`module:Class` of a `python:` name."""
    return name.removeprefix(_OWN) if name.startswith(_OWN) else None


@lru_cache
def get_verifier(name: str) -> Verifier:
    """The verifier of this name; one instance per process.

    Raises:
        UserError: E401 for an unknown name, E125 for one that two packages define, E402 if it cannot be loaded.
    """
    target = _user_target(name)
    if target is None and (target := VERIFIERS.target(name)) is None:
        raise UserError.of("E401", f"unknown verifier '{name}'", near(name, verifier_names()))
    found = load_target(target, "E402", f"verifier '{name}'")
    if not (isinstance(found, type) and issubclass(found, Verifier)):
        raise UserError.of(
            "E402",
            f"verifier '{name}' is '{target}', which is not a verifier",
            "derive the class from astro_factory.verifiers.base.Verifier",
        )
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        cause = f"verifier '{name}' lacks {' and '.join(f'`{method}`' for method in missing)}"
        raise UserError.of("E402", cause, "define every method that Verifier leaves open")
    try:
        return found()
    except Exception as error:
        cause = f"verifier '{name}' cannot be made ({type(error).__name__}: {error})"
        raise UserError.of("E402", cause, "let it be made without arguments") from error
