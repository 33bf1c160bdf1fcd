"""What `lock` prints with `--json`; docs/reference/json.md shows it."""

from typing_extensions import TypedDict

from astro_factory.cli.json_output import documented


@documented
class LockChange(TypedDict):
    """An entry of the lock file that is new or has a new value."""

    name: str
    """What is locked."""
    old: str | None
    """The commit or digest before."""
    new: str
    """The commit or digest now."""


@documented
class LockOutput(TypedDict):
    """The result of `lock`."""

    lock: str
    """Path of the lock file."""
    changes: list[LockChange]
    """What was written to it."""
