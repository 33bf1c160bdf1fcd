"""A light stage kind that does almost nothing, for `benchmarks.build`: the digest of a text and of its inputs.

No shipped kind is as small, so the benchmark adds this one to the table of kinds, as tests do with theirs:
`python -m benchmarks.trivial ARGUMENTS` runs `astro-factory` with it.
"""

import hashlib
from typing import Annotated, Literal

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import Reference, StageConfig
from astro_factory.core.context import StageContext

OUTPUT = ArtifactType.DIALOGUES
VERSION = 1
HEAVY = False


class Config(StageConfig):
    kind: Literal["trivial"]
    text: str
    """Text that this stage adds."""
    reads: tuple[Annotated[str, Reference((OUTPUT,))], ...] = ()
    """The stages whose digests it includes."""


def run(ctx: StageContext, config: Config) -> None:
    inputs = "".join((ctx.inputs[name] / "digest").read_text() for name in config.reads)
    digest = hashlib.sha256(f"{config.text}\n{inputs}".encode()).hexdigest()
    (ctx.out / "digest").write_text(f"{digest}  -\n")


if __name__ == "__main__":
    from astro_factory.cli.main import main
    from astro_factory.stages import KINDS

    KINDS["stages"]["trivial"] = "benchmarks.trivial"
    main()
