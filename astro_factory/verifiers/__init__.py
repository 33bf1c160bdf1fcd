"""Answer extraction and verdicts. `get_verifier(name)` is the only way in."""

from astro_factory.verifiers.registry import get_verifier, is_known, verifier_code, verifier_names

__all__ = ["get_verifier", "is_known", "verifier_code", "verifier_names"]
