"""Problems from a dataset repository of the Hugging Face Hub, at one commit."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import model_validator

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.context import StageContext
from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.stages.problems.from_rows import write_problems
from astro_factory.stages.problems.rows import Row, RowsConfig, check_verifier

OUTPUT = ArtifactType.PROBLEMS
VERSION = 3
HEAVY = True  # it loads `datasets`, and in its own process a download that hangs can be stopped


class Config(RowsConfig):
    kind: Literal["hub"]
    repo: str = ""
    """The dataset, as `org/name`; a `preset` names it too."""
    revision: str = "main"
    """Branch, tag or commit; the lock file pins it to a commit."""
    config: str = ""
    """The dataset's configuration, if it has several."""
    split: str = "train"
    """The dataset's split."""

    @model_validator(mode="after")
    def _named(self) -> "Config":
        if not self.repo:
            raise ValueError("it names no dataset; write `repo: org/name` or a `preset`")
        return self


def check(config: Config, files: Mapping[str, str]) -> list[Diagnostic]:
    """An unknown verifier."""
    return check_verifier(config.verifier)


def run(ctx: StageContext, config: Config) -> None:
    write_problems(ctx, _download(config), config, f"{config.repo} ({config.split})")


def _download(config: Config) -> Iterator[Row]:
    """Raises `UserError` E428 with the reason that the Hub or the dataset gives."""
    import datasets

    datasets.disable_progress_bars()
    try:
        table = datasets.load_dataset(config.repo, config.config or None, split=config.split, revision=config.revision)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = "check repo, config and split, and your access to it (`hf auth login`)"
        raise UserError.of("E428", f"cannot load the dataset {config.repo}: {reason:.300}", remedy) from error
    yield from (Row(f"row {number}", dict(values)) for number, values in enumerate(table))
