"""The field by which `puzzles` and `practice` name a domain, and what their keys contain of it."""

from contextlib import suppress
from typing import Annotated

from pydantic import AfterValidator

from astro_factory.verifiers import verifier_code
from astro_factory.verifiers.puzzles import get_domain


def known_domain(name: str) -> str:
    """The name of a domain. Raises what `get_domain` does."""
    get_domain(name)
    return name


DomainName = Annotated[str, AfterValidator(known_domain)]
"""The name of a domain, built in or of an installed package."""


def domain_mark(name: str) -> str:
    """The domain with its version and, for one of another package, the digest of its source: a changed domain changes
    the keys of what is made with it, and the content of its problems. The bare name of an unknown domain."""
    version = ""
    with suppress(ValueError):
        version = str(get_domain(name).version)
    return " ".join(filter(None, (name, version, verifier_code(name))))
